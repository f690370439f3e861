"""What the Wan family's checkpoints call their tensors, told from the tensors and never from a file's name.

Kinemark's names are the original's (Wan-Video/Wan2.1 `wan/modules/model.py`), so an original checkpoint loads as it is.
diffusers renames (`scripts/convert_wan_to_diffusers.py`, `TRANSFORMER_KEYS_RENAME_DICT`), and trainers wrap and prefix.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

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
            (f"blocks.<n>.cross_attn.{part}", f"blocks.<n>.attn2.{renamed}")
            for part, renamed in (("k_img", "add_k_proj"), ("v_img", "add_v_proj"), ("norm_k_img", "norm_added_k"))
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
        *(
            (f"img_emb.proj.{here}", f"condition_embedder.image_embedder.{there}")
            for here, there in ((0, "norm1"), (1, "ff.net.0.proj"), (3, "ff.net.2"), (4, "norm2"))
        ),
        ("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
        ("fps_projection.0", "fps_projection.net.0.proj"),  # SkyReels-V2
        ("fps_projection.2", "fps_projection.net.2"),
    ),
)
NAMINGS: Final = (ORIGINAL, DIFFUSERS)

BLOCK_NUMBER: Final = re.compile(r"^blocks\.(\d+)\.")
_UNSUPPORTED: Final = {
    "to_gate_compress": "video sparse attention (FastVideo VSA)",
    "delta_embedder": "a second timestep (AnyFlow)",
    "vace_": "VACE's control blocks",
    "int8_weight": "int8 weights (TurboDiffusion)",
}


def _translate(key: str, stems: Mapping[str, str]) -> str:
    number = BLOCK_NUMBER.match(key)
    general = BLOCK_NUMBER.sub("blocks.<n>.", key)
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
            raise RequestError(
                f"this checkpoint has {meaning} ({part} in a name), which our transformer has not; use another one"
            )
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


def unwrapped(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint without what trainers and compilers wrap around them."""
    for wrapper in WRAPPERS:
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    return {strip_prefixes(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}


def to_original(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a checkpoint's tensors under the original's names, which are Kinemark's: unwrapped and renamed.

    Raises:
        RequestError: the names are not those of a transformer that can be loaded.
    """
    tensors = unwrapped(state)
    naming = detect(tensors)
    return {naming.to_original(key): tensor for key, tensor in tensors.items()}


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return Kinemark's (and the original's) tensors under the names of diffusers' `WanTransformer3DModel`."""
    return {DIFFUSERS.from_original(key): tensor for key, tensor in state.items()}
