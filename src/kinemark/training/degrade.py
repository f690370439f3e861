"""Imperfect latents, as those meet them that take over from another network: the detail expert and the upsampler.

What the coarse pass hands to the detail expert is enlarged and soft, so that is what it learns from (`arriving_noise`).
What the decoder meets is not the exact mean of 4x4 pixels, but what the transformer made of it: softened, a little
noisy, with seams between patches. `SyntheticFlaws` imitates that until there is a transformer; `DenoisedOnce` uses the
transformer itself.

Shape suffixes: B batch, F slots, C channels, H W size, L text tokens, D width, N pictures of all clips and slots.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from einops import rearrange, repeat
from torch.nn import functional

from kinemark.model.autoencoder import PATCH
from kinemark.model.layout import empty_layout, layout_map
from kinemark.sampling.coarse import enlarged, shrunk
from kinemark.sampling.flow import noised, per_slot
from kinemark.sampling.streaming import Coarse
from kinemark.timeline import FRAMES_PER_SLOT
from kinemark.worlds.captions import STYLES, caption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator, Tensor, nn

    from kinemark.model.text import TextEncoder
    from kinemark.worlds.spec import Scene


class Degrade(Protocol):
    """Makes exact latents as imperfect as those that will be decoded."""

    def __call__(self, latent_BCFHW: Tensor, scenes: Sequence[Scene], generator: Generator) -> Tensor:
        """Return degraded latents of the same shape; `scenes` says what each clip shows."""


@dataclass(frozen=True, slots=True)
class SyntheticFlaws:
    """A guess at a transformer's errors: colour offsets and softness that change from patch to patch, and noise.

    Each clip draws its own strength of every flaw, from 0 up to the value here (in latent units; pixels are half).
    """

    offset: float = 0.06
    softness: float = 1.0
    noise: float = 0.06

    def __call__(self, latent_BCFHW: Tensor, scenes: Sequence[Scene], generator: Generator) -> Tensor:
        """Degrade latents whose sides are multiples of the patch."""
        del scenes
        batch, channels, slots, height, width = latent_BCFHW.shape
        device = latent_BCFHW.device

        def draw(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        def draw_normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, device=device)

        def per_patch(values_BCFHW: Tensor) -> Tensor:
            return repeat(values_BCFHW, "b c f h w -> b c f (h y) (w x)", y=PATCH, x=PATCH)

        grid = (slots, height // PATCH, width // PATCH)
        share = self.softness * draw(batch, 1, 1, 1, 1) * per_patch(draw(batch, 1, *grid))
        soft_BCFHW = torch.lerp(latent_BCFHW, _blurred(latent_BCFHW), share)
        # The four frames of a slot mostly err alike, and a little each in its own way.
        colour = draw_normal(batch, 3, *grid).repeat(1, FRAMES_PER_SLOT, 1, 1, 1) + 0.5 * draw_normal(
            batch, channels, *grid
        )
        offset_BCFHW = self.offset * draw(batch, 1, 1, 1, 1) * per_patch(colour)
        noise_BCFHW = self.noise * draw(batch, 1, 1, 1, 1) * draw_normal(*latent_BCFHW.shape)
        return soft_BCFHW + offset_BCFHW + noise_BCFHW


def _blurred(latent_BCFHW: Tensor) -> Tensor:
    """Every frame blurred by the binomial filter (1 4 6 4 1) / 16 along both axes, edges repeated."""
    batch, channels = latent_BCFHW.shape[:2]
    taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=latent_BCFHW.device, dtype=latent_BCFHW.dtype) / 16
    x_NCHW = rearrange(latent_BCFHW, "b c f h w -> (b c f) 1 h w")
    x_NCHW = functional.pad(x_NCHW, (2, 2, 2, 2), mode="replicate")
    x_NCHW = functional.conv2d(functional.conv2d(x_NCHW, taps.view(1, 1, 1, 5)), taps.view(1, 1, 5, 1))
    return rearrange(x_NCHW, "(b c f) 1 h w -> b c f h w", b=batch, c=channels)


def arriving_noise(latent_BCFHW: Tensor, noise_BCFHW: Tensor, handover: float, generator: Generator) -> Tensor:
    """The noise of latents on their way from what a coarse pass hands over, at the level `handover`, to clean ones.

    They set out from (1 - s) soft + s noise, where s is the handover and soft is the clip shrunk, blurred by a random
    amount (the coarse pass's own errors) and enlarged. On the straight line from there to the clean clip, which is the
    path that a sampler follows, they are (1 - sigma) clean + sigma (noise + (1 - s) / s (soft - clean)).

    Args:
        latent_BCFHW: clean latents, with even sides.
        noise_BCFHW: of variance 1.
        handover: s, in (0, 1]; at 1 the noise stays as it is.
        generator: of the step.
    """
    if handover == 1:
        return noise_BCFHW
    coarse = Coarse()
    small_BCFHW = shrunk(latent_BCFHW, coarse)
    amount = torch.rand(len(small_BCFHW), 1, 1, 1, 1, generator=generator, device=generator.device)
    soft_BCFHW = enlarged(torch.lerp(small_BCFHW, _blurred(small_BCFHW), amount), coarse)
    return noise_BCFHW + (1 - handover) / handover * (soft_BCFHW - latent_BCFHW)


@dataclass(frozen=True, slots=True)
class DenoisedOnce:
    """The detail expert's own errors: truth handed over as by a coarse pass, and predicted clean in one step."""

    transformer: nn.Module
    text: TextEncoder
    handover: float = Coarse().sigma

    @torch.no_grad()
    def __call__(self, latent_BCFHW: Tensor, scenes: Sequence[Scene], generator: Generator) -> Tensor:
        """Degrade latents of whole pictures, in the size that the transformer was trained for."""
        device = latent_BCFHW.device
        batch, _, slots, _, _ = latent_BCFHW.shape
        rng = random.Random(scenes[0].seed)
        text_BLD = self.text.encode([caption(scene, rng, rng.choice(STYLES)).text for scene in scenes]).to(device)
        sigma_BF = torch.full((batch, slots), self.handover, device=device)
        noise_BCFHW = torch.randn(latent_BCFHW.shape, generator=generator, device=device)
        noise_BCFHW = arriving_noise(latent_BCFHW, noise_BCFHW, self.handover, generator)
        x_BCFHW = noised(latent_BCFHW, noise_BCFHW, per_slot(sigma_BF))
        map_BCFHW = layout_map(empty_layout(batch, slots).to(device), *latent_BCFHW.shape[-2:])
        predicted: Tensor = self.transformer(
            x_BCFHW, sigma_BF, text_BLD, block_F=torch.arange(slots, device=device), condition_BCFHW=map_BCFHW
        )
        return predicted.float()
