"""Relatives of Wan become tensors of Wan's transformer, and adapters are added to what they were made for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kinemark.errors import RequestError
from kinemark.model.adapt import merged, to_ours
from kinemark.model.checkpoints import build, fitted, read
from kinemark.model.naming import to_diffusers
from wan_like import WAN_LIKE, inputs, randomised

State = dict[str, torch.Tensor]


@pytest.fixture
def state() -> State:
    return randomised(WAN_LIKE).state_dict()


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: tensor for key, tensor in state.items()}


def linear_patches(state: State) -> State:
    return state | {"patch_embedding.weight": state["patch_embedding.weight"].flatten(1)}


#: How each family of checkpoints wraps, prefixes and ends.
LAYOUTS = {
    "Wan": (".safetensors", lambda state: state),
    "Wan in diffusers": (".safetensors", to_diffusers),
    "Self-Forcing, Causal-Forcing": (
        ".pt",
        lambda state: {"generator": prefixed(state, "model."), "generator_ema": prefixed(state, "model.")},
    ),
    "CausVid": (".pt", lambda state: {"generator": prefixed(state, "model.")}),
    "LongLive": (".pt", lambda state: {"generator_ema": prefixed(state, "model._fsdp_wrapped_module.")}),
    "Rolling Forcing": (".pt", lambda state: {"generator_ema": prefixed(state, "model."), "step": 1}),
    "Krea": (".safetensors", lambda state: prefixed(state, "model.")),
    "rCM": (".pth", lambda state: prefixed(linear_patches(state), "net.")),
}


@pytest.mark.parametrize("family", LAYOUTS)
def test_every_layout_goes_there_and_back(state: State, tmp_path: Path, family: str) -> None:
    ending, layout = LAYOUTS[family]
    path = tmp_path / f"checkpoint{ending}"
    (save_file if ending == ".safetensors" else torch.save)(layout(state), path)
    ours = to_ours(read(path))
    assert ours.keys() == state.keys()
    model = build(fitted(WAN_LIKE, ours), ours, family)
    x, sigma, text = inputs(WAN_LIKE, 2)
    with torch.no_grad():
        assert torch.equal(model(x, sigma, text), randomised(WAN_LIKE)(x, sigma, text))


def test_half_a_rate_of_frames_is_refused(state: State) -> None:
    with pytest.raises(RequestError, match=r"lacks 'fps_projection\.0\.weight'"):
        to_ours(state | {"fps_embedding.weight": torch.zeros(2, 24)})


RANK = 3


def adapter(state: State, names: tuple[str, str] = ("lora_A.default", "lora_B.default")) -> tuple[State, State]:
    """Return an adapter of two layers, and what it adds to each."""
    generator = torch.Generator().manual_seed(2)
    factors, changes = {}, {}
    for stem in ("blocks.0.self_attn.q", "blocks.1.ffn.2"):
        rows, columns = state[f"{stem}.weight"].shape
        down = torch.randn(RANK, columns, generator=generator)
        up = torch.randn(rows, RANK, generator=generator)
        factors |= {f"{stem}.{names[0]}.weight": down, f"{stem}.{names[1]}.weight": up}
        changes[f"{stem}.weight"] = up @ down
    return factors, changes


@pytest.mark.parametrize("prefix", ["base_model.model.model.", "diffusion_model.", ""])
@pytest.mark.parametrize("names", [("lora_A.default", "lora_B.default"), ("lora_down", "lora_up")])
def test_an_adapter_is_added(state: State, prefix: str, names: tuple[str, str]) -> None:
    factors, changes = adapter(state, names)
    updated = merged(state, {"generator_lora": prefixed(factors, prefix)})
    for key, tensor in state.items():
        torch.testing.assert_close(updated[key], tensor + changes.get(key, 0.0), atol=1e-5, rtol=1e-5)


def test_the_strength_of_an_adapter(state: State) -> None:
    factors, changes = adapter(state)
    stem = "blocks.0.self_attn.q"
    said = merged(state, factors | {f"{stem}.alpha": torch.tensor(6.0)})
    torch.testing.assert_close(said[f"{stem}.weight"] - state[f"{stem}.weight"], 2 * changes[f"{stem}.weight"])
    asked = merged(state, factors, alpha=1.5)
    torch.testing.assert_close(asked[f"{stem}.weight"] - state[f"{stem}.weight"], 0.5 * changes[f"{stem}.weight"])


def test_an_adapter_in_the_names_of_diffusers(state: State) -> None:
    factors, changes = adapter(state)
    theirs = {}
    for key, tensor in factors.items():
        stem, leaf = key.split(".lora_")
        theirs[
            f"transformer.{next(iter(to_diffusers({stem + '.weight': tensor}))).removesuffix('.weight')}.lora_{leaf}"
        ] = tensor
    updated = merged(state, theirs)
    for key, change in changes.items():
        torch.testing.assert_close(updated[key], state[key] + change, atol=1e-5, rtol=1e-5)


def test_an_adapter_of_another_model_is_refused(state: State) -> None:
    factors, _ = adapter(randomised(replace(WAN_LIKE, width=36)).state_dict())
    with pytest.raises(RequestError, match=r"by 36x36 values, and the checkpoint has \(24, 24\)"):
        merged(state, factors)
    with pytest.raises(RequestError, match="no such weight"):
        merged({}, adapter(state)[0])
    with pytest.raises(RequestError, match=r"not an adapter of low-rank updates: \['blocks.0.diff'\]"):
        merged(state, adapter(state)[0] | {"blocks.0.diff": torch.zeros(1)})
    with pytest.raises(RequestError, match="nothing in it"):
        merged(state, {})
