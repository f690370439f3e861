"""Attention as Wan computes it: normalised queries and keys, three rotary axes, and the text beside the video.

B batch, F slots, L tokens (of all slots, in raster order), K tokens attended to, D width, N heads, E width of a head,
P rotary pairs (E / 2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch reader knows
from torch import Tensor, nn

from kinemark.model.kernels import attend, rms_norm, rotate

if TYPE_CHECKING:
    from kinemark.model.configs import TransformerConfig
    from kinemark.model.kernels import MaskOf
    from kinemark.model.parallel import Sharing

NEAR: Final = 1.5  # beside queries and keys of mean square 1

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
        return rms_norm(x, self.weight, self.eps)


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
        q_BNLE = rotate(scene.to_heads(self._split(self.norm_q(self.q(x_BLD)))), scene.table_B1LP2)
        raw_BNLE = scene.to_heads(self._split(self.norm_k(self.k(x_BLD))))
        v_BNKE = scene.to_heads(self._split(self.v(x_BLD)))
        k_BNKE = rotate(raw_BNLE, scene.table_B1LP2)
        if join is None:
            del raw_BNLE  # not to be alive, unused, where memory is at its most
        else:
            k_BNKE, v_BNKE = join(raw_BNLE, k_BNKE, v_BNKE)
        return self._merge(scene.to_tokens(scene.attend(q_BNLE, k_BNKE, v_BNKE), self.heads))


@torch.no_grad()
def look_near(attention: SelfAttention) -> None:
    """Begin with half of the heads attending to near tokens, whatever those hold.

    Positions enter only as rotations of queries and keys, and near pure noise these hold noise: a part that is the same
    in every token, a bias, is what position can turn. From zero such biases grow so slowly that after 1,500 steps most
    heads still averaged the whole picture and subjects stayed blobs. Equal biases of queries and keys in the fastest
    rotary pairs of rows and columns make attention fall off with distance from the first step. (Beginning with the
    attention that trained networks come to: mimetic initialisation, Trockman and Kolter, arXiv 2305.09828.)
    """
    width = attention.q.out_features // attention.heads
    pairs = width // 6
    near = torch.zeros(attention.heads, width // 2, 2)
    for first in (width // 2 - 2 * pairs, width // 2 - pairs):
        near[: attention.heads // 2, first : first + max(1, pairs // 2)] = NEAR
    attention.q.bias.copy_(near.flatten())
    attention.k.bias.copy_(near.flatten())


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
