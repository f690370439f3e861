"""Attention as Wan computes it: normalised queries and keys, three rotary axes, and the text beside the video.

B batch, F slots, S tokens of one slot, L tokens (F S, in raster order), K tokens attended to, D width, N heads,
E width of a head, P rotary pairs (E / 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch reader knows
from einops import rearrange
from torch import Tensor, nn

if TYPE_CHECKING:
    from kinemark.model.configs import TransformerConfig
    from kinemark.model.parallel import Sharing

MaskOf = Callable[[int, int], Tensor]
"""(tokens of a slot that attend, tokens of a slot that are attended to) -> mask, as of `block_causal_mask`."""
Join = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(raw keys, rotated keys, values) of new tokens, all BNLE -> (keys, values) of everything that they attend to."""


class RMSNorm(nn.Module):
    """Root-mean-square norm over the last dimension, in float32, cast back before the learned scale (as in Wan)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.shape = (width,)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; shape and dtype stay."""
        if x.dtype == self.weight.dtype == torch.float32:  # nothing is cast, and one pass does
            return F.rms_norm(x, self.shape, self.weight, self.eps)
        scaled: Tensor = F.rms_norm(x.float(), self.shape, eps=self.eps).type_as(x) * self.weight
        return scaled


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

    torch's fused CPU kernel is the fastest way forward, but in bfloat16 its backward pass is five to nine times slower
    than plain matrix products at the lengths of training (in float32 they are even), so where gradients flow on a CPU
    the formula is written out.
    """
    if q_BNLE.device.type == "meta":  # where torch knows no kernel, and would take the formula, which holds all scores
        flash = torch.ops.aten._scaled_dot_product_flash_attention  # noqa: SLF001  it has no public name
        without_data: Tensor = flash(q_BNLE, k_BNKE, v_BNKE)[0]
        return without_data
    if not (torch.is_grad_enabled() and q_BNLE.device.type == "cpu"):
        return F.scaled_dot_product_attention(q_BNLE, k_BNKE, v_BNKE, attn_mask=mask_B1LK)
    score_BNLK = (q_BNLE * q_BNLE.shape[-1] ** -0.5) @ k_BNKE.mT
    if mask_B1LK is not None:
        score_BNLK = score_BNLK.masked_fill(~mask_B1LK, -torch.inf)
    attended: Tensor = score_BNLK.softmax(dim=-1, dtype=torch.float32).to(v_BNKE.dtype) @ v_BNKE
    return attended


@dataclass(frozen=True, slots=True)
class Scene:
    """What the tokens of a forward stand among: the same for every block.

    Attributes:
        table_B1LP2: rotary table of the tokens (of the row's, where a forward is shared).
        mask_of: which slots see which; None: all see all.
        slots: of the forward.
        tokens: of a whole slot.
        sharing: of the forward with other processes.
    """

    table_B1LP2: Tensor
    mask_of: MaskOf | None
    slots: int
    tokens: int
    sharing: Sharing | None = None

    def to_heads(self, x_BNLE: Tensor) -> Tensor:
        """What this process attends with (`Sharing.to_heads`)."""
        return x_BNLE if self.sharing is None else self.sharing.to_heads(x_BNLE, self.slots, self.tokens)

    def to_tokens(self, x_BNLE: Tensor, heads: int) -> Tensor:
        """The inverse, of so many heads."""
        return x_BNLE if self.sharing is None else self.sharing.to_tokens(x_BNLE, heads, self.slots, self.tokens)

    def attend(self, q_BNLE: Tensor, k_BNKE: Tensor, v_BNKE: Tensor) -> Tensor:
        """Attention to all that the mask allows."""
        if self.sharing is not None:
            return self.sharing.attend(q_BNLE, k_BNKE, v_BNKE, self.mask_of, self.tokens)
        return attend(q_BNLE, k_BNKE, v_BNKE, None if self.mask_of is None else self.mask_of(self.tokens, self.tokens))


class Attention(nn.Module):
    """The projections that self- and cross-attention share; queries and keys are normalised over the full width."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.o = nn.Linear(width, width)
        self.norm_q = RMSNorm(width, config.eps)
        self.norm_k = RMSNorm(width, config.eps)

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.view(*x_BLD.shape[:2], self.heads, -1).transpose(1, 2)

    def _merge(self, x_BNLE: Tensor) -> Tensor:
        merged: Tensor = self.o(x_BNLE.transpose(1, 2).flatten(2))
        return merged


class SelfAttention(Attention):
    """Attention among the tokens of the video, and those of a cache."""

    def forward(self, x_BLD: Tensor, scene: Scene, join: Join | None) -> Tensor:
        """Attend from every token to all that the scene allows, cached ones included."""
        heads_BNLE = (self._split(self.norm_q(self.q(x_BLD))), self._split(self.norm_k(self.k(x_BLD))))
        q_BNLE, raw_BNLE, v_BNKE = map(scene.to_heads, (*heads_BNLE, self._split(self.v(x_BLD))))
        q_BNLE, k_BNKE = rotate(q_BNLE, scene.table_B1LP2), rotate(raw_BNLE, scene.table_B1LP2)
        if join is not None:
            k_BNKE, v_BNKE = join(raw_BNLE, k_BNKE, v_BNKE)
        return self._merge(scene.to_tokens(scene.attend(q_BNLE, k_BNKE, v_BNKE), self.heads))


class CrossAttention(Attention):
    """Attention from the video's tokens to the text's, and to a picture's: no positions, and no mask over padding."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        if config.image_dim:
            self.k_img = nn.Linear(config.width, config.width)
            self.v_img = nn.Linear(config.width, config.width)
            self.norm_k_img = RMSNorm(config.width, config.eps)

    def keys_of(self, text_BKD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values BNKE of embedded text: the same at every step, for they do not depend on the video."""
        return self._split(self.norm_k(self.k(text_BKD))), self._split(self.v(text_BKD))

    def forward(self, x_BLD: Tensor, text: tuple[Tensor, Tensor], image_BKD: Tensor | None = None) -> Tensor:
        """Attend from every video token to every text token and, by itself, to every token of given pictures.

        Args:
            x_BLD: the video's tokens.
            text: of `keys_of`.
            image_BKD: embedded features of given pictures.
        """
        q_BNLE = self._split(self.norm_q(self.q(x_BLD)))
        seen_BNLE = attend(q_BNLE, *text)
        if image_BKD is not None:
            k_BNKE = self._split(self.norm_k_img(self.k_img(image_BKD)))
            seen_BNLE = seen_BNLE + attend(q_BNLE, k_BNKE, self._split(self.v_img(image_BKD)))
        return self._merge(seen_BNLE)
