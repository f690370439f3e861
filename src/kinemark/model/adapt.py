"""Checkpoints of Wan's relatives, turned into tensors that Wan's transformer computes the same with.

What differs in arithmetic between relatives, and is constant when a model runs, is put into the weights once instead of
being a branch of the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch.nn.functional as F  # noqa: N812 - the name that every torch reader knows

from kinemark.errors import RequestError
from kinemark.model.naming import NAMINGS, ORIGINAL, Naming, strip_prefixes, to_original

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: A patch of Wan has two rows and two columns of one slot.
_PATCH: Final = (1, 2, 2)
#: SkyReels-V2 tells 16 frames a second (0) from others (1); its models run at 24.
_SKYREELS_RATE: Final = 1
#: What PEFT, kohya and their relatives call the two factors; the first is multiplied first.
_FACTORS: Final = (("lora_A", "lora_B"), ("lora_down", "lora_up"))
_LORA_PREFIXES: Final = ("base_model.model.", "diffusion_model.", "transformer.")


def to_ours(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors under Kinemark's names and in the shapes of `Transformer`.

    Raises:
        RequestError: the names are not those of a transformer that can be loaded.
    """
    return _with_frame_rate(_with_patches(to_original(state)))


def _with_patches(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """RCM and TurboDiffusion embed patches by a linear layer over (channel, slot, row, column)."""
    weight = tensors.get("patch_embedding.weight")
    if weight is None or weight.ndim != 2 or weight.shape[1] % 4:
        return tensors
    return tensors | {"patch_embedding.weight": weight.reshape(len(weight), -1, *_PATCH)}


def _with_frame_rate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """SkyReels-V2 adds an embedding of the frame rate to the noise level's projection: at one rate, a bias.

    (SkyReels-V2 `skyreels_v2_infer/modules/transformer.py`, `inject_sample_info`.)
    """
    if "fps_embedding.weight" not in tensors:
        return tensors
    rest = {key: tensor for key, tensor in tensors.items() if not key.startswith("fps_")}
    try:
        rate_D = tensors["fps_embedding.weight"][_SKYREELS_RATE].float()
        for layer in (0, 2):
            rate_D = F.silu(rate_D) if layer else rate_D
            weight, bias = (tensors[f"fps_projection.{layer}.{leaf}"].float() for leaf in ("weight", "bias"))
            rate_D = F.linear(rate_D, weight, bias)
        bias = tensors["time_projection.1.bias"]
    except KeyError as error:
        raise RequestError(f"the checkpoint embeds a frame rate and lacks {error}; it is not whole") from error
    return rest | {"time_projection.1.bias": (bias.float() + rate_D).to(bias.dtype)}


def merged(tensors: Mapping[str, Tensor], lora: Mapping[str, Any], alpha: float | None = None) -> dict[str, Tensor]:
    """Add a low-rank update to the weights that it belongs to: W + alpha / rank B A (arXiv 2106.09685, equation 3).

    Args:
        tensors: under Kinemark's names.
        lora: an adapter's file, under any naming of the family; may be wrapped (`generator_lora`).
        alpha: the update's strength; default: what the file says, else the rank.

    Raises:
        RequestError: a tensor of the adapter belongs to no weight, lacks its other factor, or has another shape.
    """
    wrapped = [value for value in lora.values() if isinstance(value, dict)]
    factors = {_unprefixed(key): tensor for key, tensor in (wrapped[0] if wrapped else lora).items()}
    updated = dict(tensors)
    pairs = _pairs(factors)
    naming = _naming_of(pairs)
    for stem, (down, up) in pairs.items():
        key = naming.to_original(f"{stem}.weight")
        if key not in updated or updated[key].shape != (up.shape[0], down.shape[1]):
            raise RequestError(
                f"the adapter changes {key} by {up.shape[0]}x{down.shape[1]} values, and the checkpoint has "
                f"{tuple(updated[key].shape) if key in updated else 'no such weight'}; it was made for another model"
            )
        strength = alpha or float(factors.get(f"{stem}.alpha", down.shape[0]))
        weight = updated[key]
        change = strength / down.shape[0] * (up.float() @ down.float())
        updated[key] = (weight.float() + change).to(weight.dtype)
    return updated


def _unprefixed(key: str) -> str:
    for prefix in _LORA_PREFIXES:
        key = key.removeprefix(prefix)
    return strip_prefixes(key).replace(".default.", ".")


def _pairs(factors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The two factors of each weight's update."""
    pairs = {}
    left = {key for key in factors if not key.endswith(".alpha")}
    for first, second in _FACTORS:
        for key in [key for key in factors if key.endswith(f".{first}.weight")]:
            stem = key.removesuffix(f".{first}.weight")
            other = f"{stem}.{second}.weight"
            if other in factors:
                pairs[stem] = (factors[key], factors[other])
                left -= {key, other}
    if left or not pairs:
        raise RequestError(
            f"not an adapter of low-rank updates: {sorted(left)[:3] or 'nothing in it'} is no pair of "
            "lora_A and lora_B (or lora_down and lora_up)"
        )
    return pairs


def _naming_of(stems: Mapping[str, object]) -> Naming:
    """The naming of an adapter, which may update other layers than the ones that tell checkpoints apart."""
    for naming in NAMINGS:
        if naming is not ORIGINAL and any(naming.to_original(f"{stem}.weight") != f"{stem}.weight" for stem in stems):
            return naming
    return ORIGINAL
