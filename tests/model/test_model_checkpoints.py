"""Every naming of the Wan family is read, and nothing in a checkpoint is ever run."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.checkpoints import (
    DIFFUSERS,
    ORIGINAL,
    detect,
    digest,
    fitted,
    read,
    strip_prefixes,
    to_diffusers,
    to_ours,
)
from kinemark.model.configs import tiny, wan_1_3b
from kinemark.model.transformer import Transformer

CONFIG = tiny()


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return Transformer(CONFIG).state_dict()


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize(
    ("original", "diffusers"),
    [
        ("patch_embedding.weight", "patch_embedding.weight"),
        ("text_embedding.0.bias", "condition_embedder.text_embedder.linear_1.bias"),
        ("time_embedding.2.weight", "condition_embedder.time_embedder.linear_2.weight"),
        ("time_projection.1.weight", "condition_embedder.time_proj.weight"),
        ("blocks.17.modulation", "blocks.17.scale_shift_table"),
        ("blocks.3.self_attn.q.weight", "blocks.3.attn1.to_q.weight"),
        ("blocks.3.cross_attn.o.bias", "blocks.3.attn2.to_out.0.bias"),
        ("blocks.3.cross_attn.norm_k.weight", "blocks.3.attn2.norm_k.weight"),
        ("blocks.0.norm3.weight", "blocks.0.norm2.weight"),
        ("blocks.0.ffn.0.weight", "blocks.0.ffn.net.0.proj.weight"),
        ("blocks.29.ffn.2.bias", "blocks.29.ffn.net.2.bias"),
        ("head.head.weight", "proj_out.weight"),
        ("head.modulation", "scale_shift_table"),
    ],
)
def test_names_in_both_directions(original: str, diffusers: str) -> None:
    assert DIFFUSERS.from_original(original) == diffusers
    assert DIFFUSERS.to_original(diffusers) == original
    assert ORIGINAL.to_original(original) == ORIGINAL.from_original(original) == original


def test_a_whole_state_goes_there_and_back(state: dict[str, torch.Tensor]) -> None:
    theirs = to_diffusers(state)
    assert len(theirs) == len(state)
    assert detect(theirs) is DIFFUSERS
    assert detect(state) is ORIGINAL
    assert same(to_ours(theirs), state)


@pytest.mark.parametrize(
    ("wrapper", "prefix"),
    [
        (None, ""),
        (None, "model."),
        (None, "net."),
        ("generator", "model."),
        ("generator_ema", "model._fsdp_wrapped_module."),
        ("model", "module._orig_mod."),
    ],
)
def test_wrappers_and_prefixes_fall_away(state: dict[str, torch.Tensor], wrapper: str | None, prefix: str) -> None:
    prefixed = {prefix + key: tensor for key, tensor in state.items()}
    checkpoint = prefixed if wrapper is None else {wrapper: prefixed, "step": 7}
    assert same(to_ours(checkpoint), state)


def test_the_averaged_weights_are_preferred(state: dict[str, torch.Tensor]) -> None:
    raw = {key: tensor + 1 for key, tensor in state.items()}
    assert same(to_ours({"generator": raw, "generator_ema": state}), state)


def test_prefixes_inside_a_name() -> None:
    assert strip_prefixes("model.blocks.0._fsdp_wrapped_module.ffn.0.weight") == "blocks.0.ffn.0.weight"


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("blocks.0.cross_attn.k_img.weight", "CLIP image branch"),
        ("blocks.0.attn2.add_k_proj.weight", "CLIP image branch"),
        ("fps_embedding.weight", "SkyReels"),
    ],
)
def test_parts_that_we_lack_are_named(key: str, meaning: str) -> None:
    with pytest.raises(RequestError, match=meaning):
        detect([ORIGINAL.marker, key])


def test_a_stranger_is_refused() -> None:
    with pytest.raises(RequestError, match=r"not a checkpoint of the Wan family.*first names: \['conv.weight'\]"):
        to_ours({"conv.weight": torch.zeros(1)})


def test_sizes_are_read_from_the_tensors(state: dict[str, torch.Tensor]) -> None:
    base = replace(CONFIG, in_channels=1, out_channels=1, width=12, heads=1, ffn=1, layers=9, text_dim=1)
    assert fitted(base, state) == CONFIG
    with torch.device("meta"):
        wan = Transformer(replace(wan_1_3b(), layers=2))
    assert fitted(wan_1_3b(), wan.state_dict()) == replace(wan_1_3b(), layers=2)


def test_the_condition_is_not_part_of_the_latent() -> None:
    config = replace(tiny(), condition_channels=3)
    assert fitted(config, Transformer(config).state_dict()) == config


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
    assert same(to_ours(read(path)), state)
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
    with pytest.raises(RequestError, match="ending must be"):
        read(odd)
