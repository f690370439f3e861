"""Coarse before fine: the scene is decided on small latents, and large ones take over at a middle noise level.

A scene expert decides what is where on a quarter of the tokens. The result, enlarged, is then nothing but a given video
with a noise cap on every slot: the detail expert joins at that level, exactly as a remix does. (Cascades: Ho et al.,
arXiv 2106.15282; experts for ranges of noise: eDiff-I, arXiv 2211.01324, and Wan 2.2.)

Shape suffixes: B batch, C channels, F slots, H W latent size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  the name that every torch reader knows
from einops import rearrange

from kinemark.sampling.flow import denoiser_of
from kinemark.sampling.guidance import ALONG, guided
from kinemark.sampling.streaming import gather, plan, stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from kinemark.model.transformer import Transformer
    from kinemark.sampling.conditions import Conditions
    from kinemark.sampling.flow import Denoiser
    from kinemark.sampling.solvers import Watcher
    from kinemark.sampling.streaming import Coarse, SamplerConfig


@dataclass(frozen=True, slots=True)
class Experts:
    """Who answers in which pass.

    Attributes:
        detail: makes the latents that are decoded; the only one of a model that has no coarse pass.
        scene: decides on small latents what is where; None: there is no coarse pass.
    """

    detail: Denoiser
    scene: Denoiser | None = None


def experts_of(transformer: Transformer, scene: Transformer | None, empty_LD: Tensor, guidance: float) -> Experts:
    """The experts of a model; whoever decides what is where is guided (`guidance.guided`), and detail follows it."""
    if scene is None:
        return Experts(guided(transformer, empty_LD, guidance))
    return Experts(denoiser_of(transformer), guided(scene, empty_LD, guidance, along=ALONG))


@torch.no_grad()
def stream_coarse_first(
    experts: Experts, conditions: Conditions, config: SamplerConfig, watch: Watcher | None = None
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """As `streaming.stream`, after the coarse pass if there is an expert for it; given slots stay as they are.

    Both passes go through the clip side by side: a slot is made large as soon as it is decided.
    """
    if experts.scene:
        small = stream(experts.scene, coarsened(conditions, config.coarse), config.scene_pass(), watch)
        conditions, config = refining(conditions, small, config.coarse), config.detail_pass()
    yield from stream(experts.detail, conditions, config, watch)


def sample_coarse_first(experts: Experts, conditions: Conditions, config: SamplerConfig) -> Tensor:
    """All slots `[B, C, F, H, W]` of `stream_coarse_first`, in the order of `conditions`."""
    return gather(stream_coarse_first(experts, conditions, config), conditions)


def count_steps(experts: Experts, conditions: Conditions, config: SamplerConfig) -> int:
    """How often the experts are asked in all passes, commits to the cache not counted."""
    passes = [(conditions.cap_F, config)]
    if experts.scene:
        passes = [
            (conditions.cap_F, config.scene_pass()),
            (conditions.cap_F.clamp(max=config.coarse.sigma), config.detail_pass()),
        ]
    return sum(block.steps for cap_F, sampler in passes for block in plan(conditions.time_F, cap_F, sampler))


def coarsened(conditions: Conditions, coarse: Coarse) -> Conditions:
    """The same request on small latents: given slots are averaged, and so is the noise, to variance one again."""
    *outer, height, width = conditions.shape
    batch, channels, slots = outer

    return replace(
        conditions.apart(-1),  # no slot
        shape=(batch, channels, slots, height // coarse.factor, width // coarse.factor),
        known=lambda asked: shrunk(conditions.known(asked), coarse),
        noise=lambda asked, use: shrunk(conditions.noise(asked, use), coarse) * coarse.factor,
    )


def refining(conditions: Conditions, small: Iterable[tuple[tuple[int, ...], Tensor]], coarse: Coarse) -> Conditions:
    """The request with the coarse clip as a given one that joins at `coarse.sigma`, where nothing better is given.

    Args:
        conditions: the request.
        small: the blocks of the coarse pass, which goes on as they are asked for.
        coarse: how the passes fit together.
    """
    blocks = iter(small)
    done: dict[int, Tensor] = {}

    def decided(slot: int) -> Tensor:
        while slot not in done:
            slots, latent_BCFHW = next(blocks)
            done.update(zip(slots, latent_BCFHW.unbind(dim=2), strict=True))
        return enlarged(done.pop(slot)[:, :, None], coarse)

    def known(slots: Sequence[int]) -> Tensor:
        small_BCFHW = torch.cat([decided(slot) for slot in slots], dim=2)
        lower_F = conditions.cap_F[list(slots)] <= coarse.sigma
        if not lower_F.any():
            return small_BCFHW
        return torch.where(rearrange(lower_F, "F -> F 1 1"), conditions.known(slots), small_BCFHW)

    return replace(conditions, cap_F=conditions.cap_F.clamp(max=coarse.sigma), known=known)


def shrunk(x_BCFHW: Tensor, coarse: Coarse) -> Tensor:
    """Latents of the coarse pass's size: area means."""
    slots = x_BCFHW.shape[2]
    frames = F.avg_pool2d(rearrange(x_BCFHW, "B C F H W -> (B F) C H W"), coarse.factor)
    return rearrange(frames, "(B F) C H W -> B C F H W", F=slots)


def enlarged(small_BCFHW: Tensor, coarse: Coarse) -> Tensor:
    """Latents of the fine pass's size, bilinear: what the coarse pass hands over, before noise is added."""
    slots = small_BCFHW.shape[2]
    frames = rearrange(small_BCFHW, "B C F H W -> (B F) C H W")
    frames = F.interpolate(frames, scale_factor=coarse.factor, mode="bilinear", align_corners=False)
    return rearrange(frames, "(B F) C H W -> B C F H W", F=slots)
