"""What the transformer is made of besides attention: patches, norms, the activation, and what is shown of noise.

B batch, F slots, C channels, H W size of the latent, h w tokens in a column and a row, S tokens of one slot (h w),
L tokens (F S, in raster order), D width, E a patch's values, K tokens of pictures, I their width.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch reader knows
from einops import rearrange
from torch import Tensor, nn

_SLOPE: Final = 2 * (2 / math.pi) ** 0.5


class PatchEmbedding(nn.Module):
    """A convolution whose stride is its kernel, computed as the matrix product that it is."""

    def __init__(self, channels: int, width: int, patch: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch = patch
        self.weight = nn.Parameter(torch.empty(width, channels, *patch))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x_BCFHW: Tensor) -> Tensor:
        """Cut the latent into patches, slot by slot in raster order, and project each to a token of L D."""
        _, height, width = self.patch
        patches = rearrange(x_BCFHW, "b c f (h q) (w r) -> b (f h w) (c q r)", q=height, r=width)
        return F.linear(patches.to(self.weight.dtype), self.weight.flatten(1), self.bias)


class NoiseFilter(nn.Module):
    """Shows each patch of a noised latent through the square root of its Wiener filter.

    For x = (1 - sigma) clean + sigma noise the best linear guess at a clean patch has, along each principal direction
    of clean patches, the gain g = (1 - sigma) v / ((1 - sigma)^2 v + sigma^2), with v the variance along it. Directions
    in which clean patches hardly vary, most of them, hold nothing but noise; a small network otherwise spends most of
    its training on not listening to them, and at pure noise on not listening at all. The square root, at most 1, keeps
    what is left of the signal large enough to be used. Until `fit`, all directions are alike.
    """

    def __init__(self, channels: int, patch: tuple[int, int, int]) -> None:
        super().__init__()
        _, self.height, self.width = patch
        size = channels * self.height * self.width
        # Not torch.eye: on the meta device, where weights are loaded, it imports the compiler, which takes seconds.
        self.basis = nn.Parameter(torch.zeros(size, size).fill_diagonal_(1.0), requires_grad=False)
        self.variance = nn.Parameter(torch.full((size,), 0.3), requires_grad=False)

    def forward(self, x_BCFHW: Tensor, sigma_BF: Tensor) -> Tensor:
        """Return what is shown; shape and dtype stay."""
        clean_BF11 = (1 - sigma_BF)[..., None, None]
        variance = self.variance.float()
        gain_BF1E = clean_BF11 * variance / (clean_BF11.square() * variance + sigma_BF[..., None, None].square())
        basis = self.basis.float()
        along_BFSE = self._patches(x_BCFHW).float() @ basis
        shown_BFSE = (along_BFSE * gain_BF1E.clamp(max=1.0).sqrt()) @ basis.mT
        return rearrange(
            shown_BFSE,
            "b f (h w) (c q r) -> b c f (h q) (w r)",
            h=x_BCFHW.shape[3] // self.height,
            q=self.height,
            r=self.width,
        ).to(x_BCFHW.dtype)

    @torch.no_grad()
    def fit(self, clean_BCFHW: Tensor) -> None:
        """Take principal directions and variances from clean latents."""
        patches = self._patches(clean_BCFHW).flatten(0, 2).double()
        centred = patches - patches.mean(dim=0)
        values, vectors = torch.linalg.eigh(centred.mT @ centred / len(centred))
        self.basis.copy_(vectors)
        self.variance.copy_(values.clamp(min=1e-6))

    def _patches(self, x_BCFHW: Tensor) -> Tensor:
        return rearrange(x_BCFHW, "b c f (h q) (w r) -> b f (h w) (c q r)", q=self.height, r=self.width)


class TanhGELU(nn.Module):
    """GELU in its tanh form (arXiv 1606.08415, section 2).

    On a CPU it is written as x sigmoid(2 u), which is 0.5 x (1 + tanh u) and twice as fast.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation; shape and dtype stay."""
        if x.device.type != "cpu":
            return F.gelu(x, approximate="tanh")
        return x * torch.sigmoid(x * (_SLOPE + _SLOPE * 0.044715 * x.square()))

    def over(self, x: Tensor) -> Tensor:
        """The same written over x, for inference: large temporary tensors cost memory, and on a CPU time."""
        written: Tensor = torch.ops.aten.gelu_(x, approximate="tanh")
        return written


class FeedForward(nn.Sequential):
    """Two linear layers around the activation."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), TanhGELU(), nn.Linear(hidden, width))

    def forward(self, x_BLD: Tensor) -> Tensor:
        """Return the update of every token."""
        first, activation, second = self
        assert isinstance(activation, TanhGELU)
        hidden_BLH = first(x_BLD)
        free = not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        update_BLD: Tensor = second(activation.over(hidden_BLH) if free else activation(hidden_BLH))
        return update_BLD


class FloatLayerNorm(nn.LayerNorm):
    """Layer norm in float32 even where the weights are not."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise; the result is float32."""
        return F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)


class ImageEmbedding(nn.Module):
    """Projects the features of given pictures to tokens beside the text's, as Wan 2.1's image to video does.

    Features are CLIP's, 257 of a picture. Where a first and a last picture are given (FLF2V), their 514 features get a
    learned position each.
    """

    def __init__(self, image_dim: int, width: int, positions: int) -> None:
        super().__init__()
        if positions:
            self.emb_pos = nn.Parameter(torch.zeros(1, positions, image_dim))
        self.proj = nn.Sequential(
            FloatLayerNorm(image_dim),
            nn.Linear(image_dim, image_dim),
            nn.GELU(),
            nn.Linear(image_dim, width),
            FloatLayerNorm(width),
        )

    def forward(self, image_BKI: Tensor) -> Tensor:
        """Return tokens K D.

        Raises:
            ValueError: the model tells pictures by their positions and has no position for so many features.
        """
        positions = getattr(self, "emb_pos", None)
        if positions is not None:
            if positions.shape[1] != image_BKI.shape[1]:
                raise ValueError(
                    f"{image_BKI.shape[1]} features of pictures; this model takes {positions.shape[1]}, those of two"
                )
            image_BKI = image_BKI + positions
        norm, first, *rest = self.proj
        assert isinstance(first, nn.Linear)
        tokens: Tensor = first(norm(image_BKI).to(first.weight.dtype))
        for layer in rest:
            tokens = layer(tokens)
        return tokens.to(first.weight.dtype)
