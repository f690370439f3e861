"""Every naming of the Wan family is told apart by tensors, and translated both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kinemark.errors import RequestError
from kinemark.model.configs import tiny
from kinemark.model.naming import DIFFUSERS, ORIGINAL, detect, strip_prefixes, to_diffusers, to_original
from kinemark.model.transformer import Transformer

CONFIG = replace(tiny(), condition_channels=20, image_dim=10, image_positions=14)


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
        ("blocks.5.cross_attn.k_img.weight", "blocks.5.attn2.add_k_proj.weight"),
        ("blocks.5.cross_attn.norm_k_img.weight", "blocks.5.attn2.norm_added_k.weight"),
        ("img_emb.proj.4.bias", "condition_embedder.image_embedder.norm2.bias"),
        ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
        ("fps_projection.2.weight", "fps_projection.net.2.weight"),
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
    assert same(to_original(theirs), state)


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
    assert same(to_original(checkpoint), state)


def test_the_averaged_weights_are_preferred(state: dict[str, torch.Tensor]) -> None:
    raw = {key: tensor + 1 for key, tensor in state.items()}
    assert same(to_original({"generator": raw, "generator_ema": state}), state)


def test_prefixes_inside_a_name() -> None:
    assert strip_prefixes("model.blocks.0._fsdp_wrapped_module.ffn.0.weight") == "blocks.0.ffn.0.weight"


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("blocks.0.attn1.to_gate_compress.weight", r"sparse attention .*to_gate_compress in a name"),
        ("condition_embedder.delta_embedder.linear_1.weight", "second timestep"),
        ("vace_blocks.0.before_proj.weight", "control blocks"),
    ],
)
def test_parts_that_we_lack_are_named(key: str, meaning: str) -> None:
    with pytest.raises(RequestError, match=meaning):
        detect([ORIGINAL.marker, key])


def test_a_stranger_is_refused() -> None:
    with pytest.raises(RequestError, match=r"not a checkpoint of the Wan family.*first names: \['conv.weight'\]"):
        to_original({"conv.weight": torch.zeros(1)})
