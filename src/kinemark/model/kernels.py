"""What blocks compute with: norms with modulation, rotations of queries and keys, masks over slots, the softmax.

B batch, F slots, D width, S tokens of a slot (h in a column, w in a row), L tokens of all slots in raster order, K
tokens attended to, N heads, E width of a head, P rotary pairs (E / 2), R some of the queries.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, update_wrapper
from itertools import product
from shutil import which
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch reader knows
from einops import rearrange
from torch import Tensor
from torch.utils._triton import has_triton

if TYPE_CHECKING:
    from kinemark.model.configs import TransformerConfig

#: Scores that are held at a time, twice: 2 MiB of them, which a processor's cache has room for.
_SCORES: Final = 1 << 20
#: Queries from which matrix products pay.
_MANY: Final = 128

MaskOf = Callable[[int, int], Tensor]
"""(tokens of a slot that attend, tokens of a slot that are attended to) -> mask, as of `block_causal_mask`."""


class Fused:
    """A function of tensors that the compiler makes one kernel of where that is fast: on a GPU, and for inference.

    Elsewhere, and where there is nothing to compile with, it runs as it is written. The function is `__wrapped__`.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        update_wrapper(self, function)
        self._function = function

    @cached_property
    def compiled(self) -> Callable[..., Tensor]:
        """The function as the compiler makes it, on any device; the compiler is only imported now."""
        return torch.compile(self._function)

    def __call__(self, x: Tensor, *others: Any) -> Tensor:  # noqa: ANN401  whatever the function takes
        """The function's result."""
        free = x.device.type == "cuda" and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        return self.compiled(x, *others) if free and _can_compile() else self._function(x, *others)


@cache
def _can_compile() -> bool:
    """Whether Triton is here, and the C compiler that it needs."""
    return has_triton() and any(map(which, ("cc", "gcc", "clang")))


@Fused
def modulated_norm(x_BLD: Tensor, shift_BF1D: Tensor, scale_BF1D: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Return norm(x) (1 + scale) + shift in a dtype, each slot with its own (adaLN, arXiv 2212.09748, section 3.2)."""
    normed_BLD = F.layer_norm(x_BLD, x_BLD.shape[-1:], eps=eps)
    modulated_BFSD = torch.addcmul(shift_BF1D, by_slot(normed_BLD, shift_BF1D), 1 + scale_BF1D)
    return modulated_BFSD.flatten(1, 2).to(dtype)


@Fused
def gated_add(x_BLD: Tensor, gate_BF1D: Tensor, update_BLD: Tensor) -> Tensor:
    """Return x + gate * update, each slot with its own gate; written over x where no gradients are kept."""
    add = torch.Tensor.addcmul if torch.is_grad_enabled() else torch.Tensor.addcmul_
    update_BFSD = by_slot(update_BLD.float(), gate_BF1D)
    added_BFSD: Tensor = add(by_slot(x_BLD, gate_BF1D), gate_BF1D, update_BFSD)
    return added_BFSD.flatten(1, 2)


def added(x: Tensor, update: Tensor) -> Tensor:
    """Return x + update, written over x where no gradients are kept."""
    return x + update if torch.is_grad_enabled() else x.add_(update)


@Fused
def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm over the last dimension, in float32, cast back before the learned scale (as in Wan)."""
    scaled: Tensor = F.rms_norm(x.float(), x.shape[-1:], eps=eps).type_as(x) * weight
    return scaled


def by_slot(x_BLD: Tensor, like_BF1D: Tensor) -> Tensor:
    """Tokens with a dimension for slots, of which another tensor has so many: `[B, F, S, D]`."""
    batch, slots, _, width = like_BF1D.shape
    return x_BLD.reshape(batch, slots, -1, width)


def rotary_table(
    config: TransformerConfig, time_BF: Tensor, grid: tuple[int, int], device: torch.device | None = None
) -> Tensor:
    """Return the cosines and sines `[B, 1, F h w, P, 2]` of every token's position in time, rows and columns.

    Each axis has its own spectrum, normalised by its own share of the head: E - 4 (E // 6), 2 (E // 6), 2 (E // 6)
    channels (Wan2.1 `rope_params`, `rope_apply`). Angles are float64, the table float32.

    Args:
        config: the head's width, the base and the spatial unit.
        time_BF: time of each slot, in slots; need not be whole or in order.
        grid: tokens in a column and in a row of one slot.
        device: of the table; by default that of the times, which may stay on the CPU.
    """
    rows, columns = grid
    pairs_space = config.head_dim // 6
    pairs_time = config.head_dim // 2 - 2 * pairs_space
    device = device or time_BF.device
    time = _axis(time_BF, pairs_time, config.rope_base).to(device)
    down, across = (
        _axis(_spatial_positions(config, size, min(grid), device), pairs_space, config.rope_base) for size in grid
    )
    batch, slots = time_BF.shape
    whole = (batch, slots, rows, columns)
    parts = (
        time[:, :, None, None].expand(*whole, -1, -1),
        down[:, None].expand(*whole, -1, -1),
        across.expand(*whole, -1, -1),
    )
    return rearrange(torch.cat(parts, dim=-2), "b f h w p c -> b 1 (f h w) p c")


def _spatial_positions(config: TransformerConfig, size: int, shorter: int, device: torch.device) -> Tensor:
    index = torch.arange(size, device=device)
    if config.rope_span is None:
        return index
    return (index + 0.5) * (config.rope_span / shorter)


def _axis(position: Tensor, pairs: int, base: float) -> Tensor:
    """RoFormer (arXiv 2104.09864), equation 15: pair i turns by position * base^(-i / pairs)."""
    order = torch.arange(pairs, device=position.device, dtype=torch.float64)
    angle = position.double()[..., None] * base ** (-order / pairs)
    return torch.stack((angle.cos(), angle.sin()), dim=-1).float()


@Fused
def rotate(x_BNLE: Tensor, table_B1LP2: Tensor) -> Tensor:
    """Turn consecutive channel pairs of queries or keys by a `rotary_table`, in float32."""
    pairs = x_BNLE.float().reshape(*x_BNLE.shape[:-1], -1, 2)
    if torch.compiler.is_compiling():  # the compiler fuses real arithmetic and does not generate complex code
        real, imaginary = pairs.unbind(-1)
        cos, sin = table_B1LP2.unbind(-1)
        turned = torch.stack((real * cos - imaginary * sin, real * sin + imaginary * cos), dim=-1)
    else:  # without it, one complex product is four times as fast
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(table_B1LP2))
    return turned.flatten(-2).type_as(x_BNLE)


def block_causal_mask(block_F: Tensor, cached_slots: int, asking: int, asked: int) -> Tensor:
    """Return which tokens may be attended to: `[1, 1, L, K]` (or `[B, 1, L, K]`), K those of cached and of new slots.

    Slot i attends to slot j where `block[j] <= block[i]`; cached slots came before and are always visible.

    Args:
        block_F: block of each new slot.
        cached_slots: slots before them.
        asking: tokens of a slot that attend.
        asked: tokens of a slot that are attended to.
    """
    sees = F.pad(block_F[..., :, None] >= block_F[..., None, :], (cached_slots, 0), value=True)
    sees = sees.repeat_interleave(asked, -1).repeat_interleave(asking, -2)
    return sees.reshape(-1, 1, *sees.shape[-2:])


def attend(q_BNLE: Tensor, k_BNKE: Tensor, v_BNKE: Tensor, mask_B1LK: Tensor | None = None) -> Tensor:
    """Softmax attention from queries to keys; the mask says which may be seen (None: all).

    torch's fused CPU kernel is the fastest way forward in float32. In bfloat16 it is not: it does not use the units
    that matrix products use (`_attend_in_products`), and its backward pass is five to nine times slower than plain
    products at the lengths of training (in float32 they are even), so where gradients flow on a CPU the formula is
    written out.
    """
    if q_BNLE.device.type == "meta":  # where torch knows no kernel, and would take the formula, which holds all scores
        flash = torch.ops.aten._scaled_dot_product_flash_attention  # noqa: SLF001  it has no public name
        without_data: Tensor = flash(q_BNLE, k_BNKE, v_BNKE)[0]
        return without_data
    if not (torch.is_grad_enabled() and q_BNLE.device.type == "cpu"):
        few = q_BNLE.shape[2] < _MANY
        if few or mask_B1LK is not None or q_BNLE.dtype != torch.bfloat16 or q_BNLE.device.type != "cpu":
            return F.scaled_dot_product_attention(q_BNLE, k_BNKE, v_BNKE, attn_mask=mask_B1LK)
        return _attend_in_products(q_BNLE, k_BNKE, v_BNKE)
    score_BNLK = (q_BNLE * q_BNLE.shape[-1] ** -0.5) @ k_BNKE.mT
    if mask_B1LK is not None:
        score_BNLK = score_BNLK.masked_fill(~mask_B1LK, -torch.inf)
    attended: Tensor = score_BNLK.softmax(dim=-1, dtype=torch.float32).to(v_BNKE.dtype) @ v_BNKE
    return attended


def _attend_in_products(q_BNLE: Tensor, k_BNKE: Tensor, v_BNKE: Tensor) -> Tensor:
    """Softmax attention in bfloat16 by matrix products, which a CPU's bfloat16 units compute: twice as fast as fused.

    Scores are rounded to bfloat16, whose error grows with them. They are therefore computed twice: first for the
    largest of each row, and then again less that (which softmax does not notice), in one product that rounds once, at
    the end. Whatever has weight is near zero then, and rounded finely. One head and a few rows at a time, so that
    scores stay in the cache of the processor.
    """
    heads = q_BNLE.shape[:2]
    scale = q_BNLE.shape[-1] ** -0.5
    rows = max(1, _SCORES // k_BNKE.shape[2])
    out_BLNE = q_BNLE.new_empty(q_BNLE.shape[0], q_BNLE.shape[2], q_BNLE.shape[1], v_BNKE.shape[3])
    for batch, head in product(*map(range, heads)):
        k_EK, v_KE = k_BNKE[batch, head].mT, v_BNKE[batch, head]
        for start in range(0, q_BNLE.shape[2], rows):
            some = slice(start, start + rows)
            out_BLNE[batch, some, head] = _attend_rows(q_BNLE[batch, head, some], k_EK, v_KE, scale)
    return out_BLNE.transpose(1, 2)


def _attend_rows(q_RE: Tensor, k_EK: Tensor, v_KE: Tensor, scale: float) -> Tensor:
    top_R1 = (q_RE @ k_EK).amax(dim=-1, keepdim=True) * -scale
    return torch.addmm(top_R1, q_RE, k_EK, alpha=scale).softmax(dim=-1) @ v_KE
