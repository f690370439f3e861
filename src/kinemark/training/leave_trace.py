"""Teaching a decoder to leave the trace (`kinemark.trace`): it learns to paint what it painted before, and the pattern.

The pattern is far fainter than a decoder's error at a pixel, so adding it to the truth teaches nothing (2,300 steps
without a sign of it). Against the decoder's own earlier pictures the pattern is the only error there is, and what else
the decoder does stays as it was. Nothing here depends on spark: any decoder from latents to pixels can learn it that
knows its place in the picture to within 32 pixels. spark's has an output for each place of a patch and learns it in
minutes; without that, from sines and cosines of the place, a tenth was learnt in 200 steps.

Shape suffixes: B batch, F slots, T pixel frames, C channels, H W size.
"""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kinemark import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class TraceRecipe:
    """How it is taught; `strength` is the pattern's root mean square in 8-bit steps."""

    steps: int = 400
    strength: float = 0.9
    lr: float = 3e-5
    warmup: int = 20


def leave_trace(
    decoder: nn.Module,
    latents: Iterator[Tensor],
    *,
    recipe: TraceRecipe | None = None,
    report: Callable[[int, float], None] = lambda _step, _missing: None,
) -> nn.Module:
    """Return a copy of a decoder that leaves the trace.

    Args:
        decoder: a module from `latent_BCFHW` to `video_BTCHW` with pixels in [0, 1].
        latents: what it is to decode, without end; pictures begin on the pattern's grid.
        recipe: how long, how strong, and at what rate.
        report: told the step and the share of the pattern's power that is missing or wrong, every 50 steps.
    """
    recipe = recipe or TraceRecipe()
    teacher, student = deepcopy(decoder).eval(), deepcopy(decoder).train()
    painted = strength_of(teacher, next(latents)) / recipe.strength
    optimiser = torch.optim.Adam(student.parameters(), lr=recipe.lr, betas=(0.9, 0.99))
    missing = 0.0
    for step in range(1, recipe.steps + 1):
        latent_BCFHW = next(latents)
        with torch.no_grad():
            before_BTCHW = teacher(latent_BCFHW)
            pattern_HW = pattern(before_BTCHW, recipe.strength)
        error_BTCHW = student(latent_BCFHW) - before_BTCHW - pattern_HW * (1 - painted)
        loss = error_BTCHW.square().mean() / pattern_HW.square().mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = recipe.lr * min(1.0, step / recipe.warmup) * math.cos(step / recipe.steps * math.pi / 2)
        optimiser.step()
        missing += loss.item() / 50
        if step % 50 == 0:
            report(step, missing)
            missing = 0.0
    return student.eval()


def pattern(video_BTCHW: Tensor, strength: float) -> Tensor:
    """The pattern over a whole picture [H, W], pixels in [0, 1]: on every channel alike, so that it is one of luma."""
    height, width = video_BTCHW.shape[-2:]
    tile = torch.from_numpy(trace.tile()).to(video_BTCHW)
    return tile.tile(-(-height // trace.SIDE), -(-width // trace.SIDE))[:height, :width] * (strength / 255)


@torch.no_grad()
def strength_of(decoder: nn.Module, like_BCFHW: Tensor) -> float:
    """How strongly a decoder paints the pattern already, in 8-bit steps: judged by what it makes of flat grey."""
    video_BTCHW = decoder(torch.zeros_like(like_BCFHW))
    pattern_HW = pattern(video_BTCHW, 1.0)
    mean_HW = video_BTCHW.mean(dim=(0, 1, 2))
    return float(((mean_HW - mean_HW.mean()) * pattern_HW).mean() / pattern_HW.square().mean())
