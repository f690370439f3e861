"""Every layout of the Wan family is read whole or refused, and nothing in a checkpoint is ever run."""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.checkpoints import build, digest, fill, fitted, read
from kinemark.model.configs import TransformerConfig, tiny, wan_1_3b, wan_14b, wan_14b_ends, wan_22_14b_image
from kinemark.model.naming import to_diffusers, to_original
from kinemark.model.transformer import Transformer

CONFIG = tiny()


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return Transformer(CONFIG).state_dict()


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_sizes_are_read_from_the_tensors(state: dict[str, torch.Tensor]) -> None:
    base = replace(CONFIG, in_channels=1, out_channels=1, width=12, heads=1, ffn=1, layers=9, text_dim=1)
    assert fitted(base, state) == CONFIG
    with torch.device("meta"):
        wan = Transformer(replace(wan_1_3b(), layers=2))
    assert fitted(wan_1_3b(), wan.state_dict()) == replace(wan_1_3b(), layers=2)


@pytest.mark.parametrize("config", [wan_22_14b_image(), wan_14b_ends()])
def test_what_stands_beside_the_latent_and_the_text_shows_too(config: TransformerConfig) -> None:
    config = replace(config, layers=1)
    with torch.device("meta"):
        state = Transformer(config).state_dict()
    assert fitted(wan_14b(), state) == config


def test_heads_that_do_not_divide_the_width_are_refused(state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(RequestError, match="width of 24 does not divide into heads of 10"):
        fitted(replace(CONFIG, width=40, heads=4), state)


def test_sizes_that_are_missing_or_strange(state: dict[str, torch.Tensor]) -> None:
    linear = state | {"patch_embedding.weight": state["patch_embedding.weight"].flatten(1)}
    with pytest.raises(RequestError, match=r"has shape \(24, 16\)"):
        fitted(CONFIG, linear)
    del state["head.head.weight"]
    with pytest.raises(RequestError, match=r"lacks 'head\.head\.weight'"):
        fitted(CONFIG, state)


@pytest.mark.parametrize("ending", [".safetensors", ".pt", ".pth"])
def test_files_are_read(state: dict[str, torch.Tensor], tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"checkpoint{ending}"
    if ending == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"generator_ema": dict(state)}, path)
    assert same(to_original(read(path)), state)
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


class Payload:
    """Pickles as a call; unpickling it without care would run it."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zipped, plain = tmp_path / "zipped.pt", tmp_path / "plain.pth"
    torch.save({"weight": Payload()}, zipped)
    plain.write_bytes(pickle.dumps(Payload()))
    for path in (zipped, plain):
        with pytest.raises(FailureError, match="code in a checkpoint is never run"):
            read(path)
    assert capsys.readouterr().out == ""


def test_damage_and_absence_are_told_apart(tmp_path: Path) -> None:
    damaged, odd = tmp_path / "damaged.safetensors", tmp_path / "weights.gguf"
    damaged.write_bytes(b"\x10\x00\x00")
    odd.write_bytes(b"GGUF")
    with pytest.raises(FailureError, match="is damaged"):
        read(damaged)
    with pytest.raises(RequestError, match="no checkpoint at"):
        read(tmp_path / "absent.safetensors")
    with pytest.raises(RequestError, match=r"ends in .\.gguf., and must end in"):
        read(odd)


def save_shards(state: dict[str, torch.Tensor], folder: Path) -> Path:
    """Save as diffusers saves large models: shards, and an index that says where each tensor is."""
    folder.mkdir()
    names = sorted(state)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for name, keys in shards.items():
        save_file({key: state[key] for key in keys}, folder / name)
    listed = {key: name for name, keys in shards.items() for key in keys}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return index


def test_folders_of_one_file_or_of_shards_are_read(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    save_shards(to_diffusers(state), tmp_path / "shards")
    assert same(to_original(read(tmp_path / "shards")), state)
    (tmp_path / "one").mkdir()
    save_file(state, tmp_path / "one" / "diffusion_pytorch_model.safetensors")
    assert same(to_original(read(tmp_path / "one")), state)


def test_folders_that_are_not_whole(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"holds no \.safetensors file"):
        read(tmp_path)
    index = save_shards(state, tmp_path / "shards")
    listed = json.loads(index.read_text())
    listed["weight_map"]["head.extra"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(listed))
    with pytest.raises(FailureError, match=r"lack head\.extra, which the index names"):
        read(tmp_path / "shards")
    (tmp_path / "shards" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FailureError, match=r"lacks model-00002-of-00002\.safetensors"):
        read(tmp_path / "shards")
    for nonsense in ("[]", "{", '{"weight_map": 3}'):
        index.write_text(nonsense)
        with pytest.raises(FailureError, match="is not an index of shards"):
            read(tmp_path / "shards")


def test_a_file_cut_short_is_damaged(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    for name, save in (("a.safetensors", save_file), ("a.pt", torch.save)):
        path = tmp_path / name
        save(state, path)
        path.write_bytes(path.read_bytes()[:-1000])
        with pytest.raises(FailureError, match="is damaged"):
            read(path)


def test_a_pickle_of_the_old_kind_is_read(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(read(tmp_path / "old.pth"), state)


def test_tensors_of_another_model_are_named(state: dict[str, torch.Tensor]) -> None:
    built = build(CONFIG, state, "it")
    assert same(built.state_dict(), state)
    assert not any(parameter.requires_grad for parameter in built.parameters())
    lost = {key: tensor for key, tensor in state.items() if key != "head.head.bias"}
    with pytest.raises(FailureError, match=r"a file does not fit the model: it lacks head\.head\.bias; use whole"):
        fill(built, lost, "a file")
    with pytest.raises(FailureError, match=r"has novelty, which does not belong there"):
        fill(built, state | {"novelty": torch.zeros(1)}, "a file")
    with pytest.raises(FailureError, match=r"has head\.head\.bias of \(3,\) in place of \(16,\)"):
        fill(built, state | {"head.head.bias": torch.zeros(3)}, "a file")
    with pytest.raises(FailureError, match=r"and \d+ more"):
        fill(built, {}, "a file")


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
@given(st.binary(max_size=400))
def test_whatever_lies_in_a_file_is_refused_with_a_reason(ending: str, data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"checkpoint{ending}"
        path.write_bytes(data)
        with pytest.raises(FailureError, match="is damaged"):
            read(path)


def test_a_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(FailureError, match="holds a list and no tensors by name"):
        read(tmp_path / "list.pt")
