"""A model survives its file, and a bad file is one clear error."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.checkpoints import digest, tensors_digest
from kinemark.model.configs import tiny
from kinemark.model.load import Origin, load_networks, read_model, record_metrics, save_model
from kinemark.model.text import TextEncoder, text_config
from kinemark.model.transformer import Transformer
from kinemark.timeline import Capability

ORIGIN = Origin(recipe="tiny", commit="0" * 40, data_hash="abc", metrics={"adherence": 0.5})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a file with a whole tiny model."""
    torch.manual_seed(0)
    path = tmp_path / "weights" / "tiny.safetensors"
    parts = {
        "transformer": Transformer(tiny()),
        "text": TextEncoder(text_config()),
        "upsampler": Upsampler(UpsamplerConfig(width=8, blocks=1)),
    }
    with torch.no_grad():
        for module in parts.values():
            for parameter in module.parameters():
                parameter.copy_(0.1 * torch.randn(parameter.shape))
    assert save_model(path, **parts, origin=ORIGIN) == digest(path)
    return path


def header_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["kinemark"])


def rewrite(path: Path, *, drop: str = "", add: str = "", **changed: object) -> None:
    """Write a file again without one tensor, with another one, or with other header values."""
    state = {key: tensor for key, tensor in load_file(path).items() if key != drop}
    state |= {add: torch.zeros(1)} if add else {}
    save_file(state, path, metadata={"kinemark": json.dumps(header_of(path) | changed)})


def test_a_scene_expert_is_kept_beside_the_other(tmp_path: Path) -> None:
    first, second = Transformer(tiny()), Transformer(replace(tiny(), layers=1))
    text, upsampler = TextEncoder(text_config()), Upsampler(UpsamplerConfig(width=8, blocks=1))
    path = tmp_path / "two.safetensors"
    save_model(path, transformer=first, scene=second, text=text, upsampler=upsampler, origin=ORIGIN)
    model = read_model(path, "two")
    assert model.scene is not None
    assert (model.config.layers, model.scene.config.layers) == (2, 1)
    for name, value in second.state_dict().items():
        assert torch.equal(model.scene.state_dict()[name], value.bfloat16().float()), name


def test_a_model_survives_its_file(saved: Path, tmp_path: Path) -> None:
    model = read_model(saved, "tiny")
    assert (model.name, model.config, model.origin) == ("tiny", tiny(), ORIGIN)
    assert model.scene is None
    assert model.capabilities == tiny().capabilities
    assert model.weights_digest == digest(saved)
    assert not [path for path in saved.parent.iterdir() if path != saved]
    parts = {"transformer": model.transformer, "text": model.text, "upsampler": model.autoencoder}
    assert not any(module.training or next(module.parameters()).requires_grad for module in parts.values())
    again = tmp_path / "again.safetensors"
    assert save_model(again, **parts, origin=ORIGIN) == model.weights_digest


def test_metrics_are_recorded_and_nothing_else_changes(saved: Path) -> None:
    before, tensors = read_model(saved, "tiny"), tensors_digest(saved)
    written = record_metrics(saved, {"all": 0.5})
    after = read_model(saved, "tiny")
    assert after.origin == replace(before.origin, metrics={"all": 0.5})
    assert tensors_digest(saved) == tensors
    assert after.weights_digest == written == digest(saved) != before.weights_digest
    with pytest.raises(FailureError, match="no weights"):
        record_metrics(saved.with_name("gone.safetensors"), {})


def test_a_loaded_model_takes_and_gives_float32(saved: Path) -> None:
    model = read_model(saved, "tiny")
    tokens = model.text.encode(["a red boat", ""])
    assert tokens.dtype == torch.float32
    out = model.transformer(torch.zeros(2, 4, 1, 4, 4), torch.tensor(1.0), tokens[:, :6, :8])
    assert out.dtype == torch.float32
    assert out.isfinite().all()


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    before = torch.get_rng_state()
    read_model(saved, "tiny")
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_are_stored_in_bfloat16(saved: Path) -> None:
    state = load_file(saved)
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    assert {key.partition(".")[0] for key in state} == {"transformer", "text", "upsampler"}


def test_an_unknown_name_is_explained() -> None:
    with pytest.raises(RequestError, match=r"'sprak' is not a model of spark's kind; give spark, or a file"):
        load_networks("sprak")


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match=r"no weights at .*absent.*kinemark train spark"):
        read_model(tmp_path / "absent.safetensors", "tiny")


def test_a_truncated_file_is_damaged(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(FailureError, match="is damaged"):
        read_model(saved, "tiny")


@pytest.mark.parametrize("part", ["transformer", "text", "upsampler"])
def test_a_missing_tensor_names_the_part(saved: Path, part: str) -> None:
    rewrite(saved, drop=next(key for key in load_file(saved) if key.startswith(f"{part}.")))
    with pytest.raises(FailureError, match=f"the {part} in .* does not fit the model: it lacks"):
        read_model(saved, "tiny")


def test_a_stray_tensor_is_refused(saved: Path) -> None:
    rewrite(saved, add="other.weight")
    with pytest.raises(FailureError, match=r"no part of the model \(other.weight\)"):
        read_model(saved, "tiny")


def test_safetensors_of_others_are_refused(saved: Path) -> None:
    save_file(load_file(saved), saved)
    with pytest.raises(FailureError, match="does not describe a model"):
        read_model(saved, "tiny")


def test_a_header_of_another_version_is_explained(saved: Path) -> None:
    rewrite(saved, config={"transformer": tiny().to_json() | {"novelty": 1}, "text": {}, "upsampler": {}})
    with pytest.raises(FailureError, match=r"unknown transformer config fields \['novelty'\]"):
        read_model(saved, "tiny")


def test_a_disk_that_refuses_leaves_nothing_behind(saved: Path, tmp_path: Path) -> None:
    model = read_model(saved, "tiny")
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(FailureError, match="cannot write weights"):
        save_model(
            blocked / "tiny.safetensors",
            transformer=model.transformer,
            text=model.text,
            upsampler=model.autoencoder,
            origin=ORIGIN,
        )
    assert blocked.read_text().startswith("a file")


def test_capabilities_survive_the_header(saved: Path) -> None:
    both = tiny().to_json() | {"capabilities": ["HISTORY", "LEVELS"]}
    rewrite(saved, config=header_of(saved)["config"] | {"transformer": both})
    assert read_model(saved, "tiny").capabilities == {Capability.HISTORY, Capability.LEVELS}


def test_loading_does_not_wake_the_compiler() -> None:
    """Some operators import torch's compiler on the meta device: seconds before the first clip."""
    look = "print('torch._dynamo' in sys.modules)"
    code = f"import sys; from kinemark.model.load import load_networks; load_networks('spark'); {look}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
