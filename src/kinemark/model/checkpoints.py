"""Checkpoints of the Wan family, whatever names their tensors have.

Kinemark's names are the original's (Wan-Video/Wan2.1 `wan/modules/model.py`), so an original checkpoint loads as it is.
diffusers renames (`scripts/convert_wan_to_diffusers.py`, `TRANSFORMER_KEYS_RENAME_DICT`), and trainers wrap and prefix.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor

    from kinemark.model.configs import TransformerConfig

WRAPPERS: Final = ("generator_ema", "generator", "model")
"""Top-level keys under which trainers put the weights; the first that is present counts."""
PREFIXES: Final = ("model.", "net.", "generator.", "_fsdp_wrapped_module.", "module.", "_orig_mod.")


@dataclass(frozen=True, slots=True)
class Naming:
    """A way to name the transformer's tensors.

    `stems` pairs the original's stems with this naming's, `<n>` standing for a block's number; a stem is everything
    before `.weight` or `.bias`, or a whole name.
    """

    name: str
    marker: str
    """A tensor that a checkpoint with this naming has, and none with another."""
    stems: tuple[tuple[str, str], ...] = ()

    def from_original(self, key: str) -> str:
        """Translate an original name to this naming; a name without an entry is the same in both."""
        return _translate(key, dict(self.stems))

    def to_original(self, key: str) -> str:
        """Translate a name of this naming to the original's."""
        return _translate(key, {there: here for here, there in self.stems})


ORIGINAL: Final = Naming("original", "blocks.0.self_attn.q.weight")
DIFFUSERS: Final = Naming(
    "diffusers",
    "blocks.0.attn1.to_q.weight",
    (
        ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
        ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
        ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
        ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
        ("time_projection.1", "condition_embedder.time_proj"),
        ("blocks.<n>.modulation", "blocks.<n>.scale_shift_table"),
        *(
            (f"blocks.<n>.{here}.{part}", f"blocks.<n>.{there}.{renamed}")
            for here, there in (("self_attn", "attn1"), ("cross_attn", "attn2"))
            for part, renamed in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("o", "to_out.0"))
        ),
        *(
            (f"blocks.<n>.{here}.{norm}", f"blocks.<n>.{there}.{norm}")
            for here, there in (("self_attn", "attn1"), ("cross_attn", "attn2"))
            for norm in ("norm_q", "norm_k")
        ),
        ("blocks.<n>.norm3", "blocks.<n>.norm2"),  # the norm before cross-attention, in both
        ("blocks.<n>.ffn.0", "blocks.<n>.ffn.net.0.proj"),
        ("blocks.<n>.ffn.2", "blocks.<n>.ffn.net.2"),
        ("head.head", "proj_out"),
        ("head.modulation", "scale_shift_table"),
    ),
)
NAMINGS: Final = (ORIGINAL, DIFFUSERS)

_NUMBER = re.compile(r"^blocks\.(\d+)\.")
_UNSUPPORTED: Final = {
    "k_img": "a CLIP image branch (Wan 2.1 image to video)",
    "add_k_proj": "a CLIP image branch (Wan 2.1 image to video)",
    "fps_embedding": "a frame-rate embedding (SkyReels-V2)",
    "to_gate_compress": "video sparse attention (FastVideo VSA)",
    "delta_embedder": "a second timestep (AnyFlow)",
}


def _translate(key: str, stems: Mapping[str, str]) -> str:
    number = _NUMBER.match(key)
    general = _NUMBER.sub("blocks.<n>.", key)
    stem, dot, leaf = general.rpartition(".")
    translated = stems.get(general) or (f"{stems[stem]}{dot}{leaf}" if stem in stems else general)
    return translated.replace("<n>", number[1]) if number else translated


def detect(keys: Iterable[str]) -> Naming:
    """Tell a checkpoint's naming from its (unprefixed) tensor names.

    Raises:
        RequestError: no naming fits, or the checkpoint has parts that this transformer does not.
    """
    names = set(keys)
    for part, meaning in _UNSUPPORTED.items():
        if any(part in name for name in names):
            raise RequestError(f"this checkpoint has {meaning}, which the transformer does not have; use another one")
    for naming in NAMINGS:
        if naming.marker in names:
            return naming
    known = ", ".join(f"{naming.name} ({naming.marker})" for naming in NAMINGS)
    raise RequestError(f"not a checkpoint of the Wan family: found none of {known}; first names: {sorted(names)[:3]}")


def strip_prefixes(key: str) -> str:
    """Drop the prefixes that trainers and compilers put before or into a tensor's name."""
    key = key.replace("_fsdp_wrapped_module.", "").replace("_orig_mod.", "")
    while any(key.startswith(prefix) for prefix in PREFIXES):
        key = key.partition(".")[2]
    return key


def to_ours(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors under Kinemark's names: unwrapped, unprefixed and renamed.

    Raises:
        RequestError: the names are not those of a transformer that can be loaded.
    """
    for wrapper in WRAPPERS:
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    tensors = {strip_prefixes(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    naming = detect(tensors)
    return {naming.to_original(key): tensor for key, tensor in tensors.items()}


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return Kinemark's (and the original's) tensors under the names of diffusers' `WanTransformer3DModel`."""
    return {DIFFUSERS.from_original(key): tensor for key, tensor in state.items()}


def fitted(base: TransformerConfig, state: Mapping[str, Tensor]) -> TransformerConfig:
    """Return `base` with the sizes that tensors (under Kinemark's names) show.

    What tensors do not show is `base`'s: the width of a head, the spectra, the text's length, the condition.

    Raises:
        RequestError: a tensor that shows a size is missing or has another rank.
    """
    try:
        width, in_channels, *patch = state["patch_embedding.weight"].shape
        ffn = state["blocks.0.ffn.0.weight"].shape[0]
        text_dim = state["text_embedding.0.weight"].shape[1]
        out_size = state["head.head.weight"].shape[0]
    except KeyError as error:
        raise RequestError(f"the checkpoint lacks {error}; it is not a whole transformer") from error
    if len(patch) != 3:
        shape = tuple(state["patch_embedding.weight"].shape)
        raise RequestError(f"patch_embedding.weight has shape {shape}, not [width, channels, 1, rows, columns]")
    numbers = [int(number[1]) for number in map(_NUMBER.match, state) if number]
    return replace(
        base,
        in_channels=in_channels - base.condition_channels,
        out_channels=out_size // (patch[1] * patch[2]),
        patch=(patch[0], patch[1], patch[2]),
        width=width,
        heads=width // base.head_dim,
        ffn=ffn,
        layers=max(numbers) + 1,
        text_dim=text_dim,
    )


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint file: safetensors, or a pickle of nothing but tensors and plain containers.

    Raises:
        RequestError: there is no such file, or its ending is unknown.
        FailureError: the file is damaged, or a pickle wants to run code.
    """
    if not path.is_file():
        raise RequestError(f"no checkpoint at {path}; give the path of a .safetensors, .pt, .pth or .bin file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        if path.suffix in {".pt", ".pth", ".bin"}:
            loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            return loaded
    except SafetensorError as error:
        raise FailureError(f"{path} is damaged ({error}); download it again") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise FailureError(
            f"{path} is damaged or holds more than tensors, and code in a checkpoint is never run; "
            f"convert it to safetensors where you trust it ({str(error).splitlines()[0]})"
        ) from error
    raise RequestError(f"{path.name} is not a checkpoint: the ending must be .safetensors, .pt, .pth or .bin")


def digest(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal: what a manifest records about the weights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_digest(path: Path) -> str:
    """Return the sha256 of what follows the header of a safetensors file: of the weights, whatever is said of them."""
    with path.open("rb") as file:
        file.seek(int.from_bytes(file.read(8), "little"), os.SEEK_CUR)
        return hashlib.file_digest(file, "sha256").hexdigest()
