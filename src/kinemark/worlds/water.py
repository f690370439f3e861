"""Water: rolling waves, a still mirror, and the glitter of sun and moon on both.

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.sky import by_weather

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.worlds.stage import Stage

#: Rows of waves from far to near: drop below the horizon, amplitude, wave length, speed per second, depth.
_WAVES: Final = (
    (0.035, 0.008, 0.11, 0.02, 0.35),
    (0.095, 0.012, 0.16, -0.03, 0.50),
    (0.180, 0.017, 0.24, 0.05, 0.65),
    (0.290, 0.023, 0.34, -0.06, 0.82),
    (0.415, 0.028, 0.46, 0.08, 1.00),
)
_FAR_WATER: Final = (0.10, 0.46, 0.72)
_NEAR_WATER: Final = (0.02, 0.20, 0.48)


def sea_water(stage: Stage) -> None:
    """Paint waves from the horizon down: scalloped rows, darker as they come nearer, each with a pale crest."""
    horizon = torch.lerp(stage.tone(_FAR_WATER), stage.light.sky_low, 0.30)
    stage.fill(stage.horizon - stage.y, horizon)
    for step, (drop, swing, length, speed, depth) in enumerate(_WAVES):
        x = stage.layer_x(depth) + stage.time * speed
        swell = stage.time * (math.tau / 4.0) + stage.random(181 + step, 0.0, math.tau)
        scallop = 1.0 - 2.0 * torch.sin(x * (math.pi / length) + stage.random(186 + step, 0.0, math.tau)).abs()
        edge = stage.horizon + drop + swing * scallop + 0.4 * swing * torch.sin(swell)
        share = (step + 1) / len(_WAVES)
        near = stage.tone(_NEAR_WATER)
        colour = torch.lerp(horizon, near, 0.25 + 0.75 * share)
        distance = stage.below(edge)
        stage.fill(distance, torch.lerp(colour, stage.tone((0.85, 0.95, 1.0)), 0.55))
        stage.fill(distance + 0.016 + 0.010 * share, colour, shadow=False)
        if step == 1:
            glitter(stage, bottom=0.80)


def lake_water(stage: Stage, hills_N1W: Tensor, shore_N1W: Tensor) -> None:
    """Paint a mirror: the low sky turned upside down, the hills' reflection, a few calm streaks."""
    depth = ((stage.y - stage.horizon) / 0.5).clamp(0.0, 1.0)[:, None]
    tint = stage.tone((0.30, 0.56, 0.66))
    colour = torch.lerp(
        torch.lerp(stage.light.sky_low, tint, 0.35), torch.lerp(stage.light.sky_middle, tint, 0.55), depth
    )
    surface = stage.horizon + 0.012 - stage.y
    stage.fill(surface, colour)
    ripple = 0.006 * torch.sin(stage.y * 60.0 - stage.time * 1.5)
    for edge, rgb, alpha in ((hills_N1W, (0.36, 0.50, 0.52), 0.45), (shore_N1W - 0.05, (0.12, 0.34, 0.24), 0.55)):
        mirrored = 2.0 * stage.horizon + 0.024 - edge
        inside = torch.maximum(surface, stage.y - mirrored - ripple)
        stage.fill(inside, stage.tone(rgb, 0.15), alpha=alpha, shadow=False)
    glitter(stage, bottom=0.86)
    for step, (drop, length) in enumerate(((0.10, 0.30), (0.19, 0.42), (0.30, 0.5), (0.43, 0.62))):
        x = stage.layer_x(0.6 + 0.1 * step) + stage.random(190 + step) + 0.02 * torch.sin(stage.time * 1.2 + step)
        along = torch.remainder(x, length * 1.7) - length * 0.85
        half = 0.012 + 0.003 * step
        lens = (stage.y - stage.horizon - drop).abs() - half * (1.0 - (along / (0.5 * length)) ** 2).clamp_min(-2.0)
        stage.fill(lens, stage.tone((0.92, 0.97, 1.0), 0.3), alpha=0.5, shadow=False)


def glitter(stage: Stage, bottom: float) -> None:
    """Paint broken light below the sun or the moon, widening towards the viewer; `bottom` is a height."""
    light = stage.light
    x = stage.layer_x(0.03)
    sun_up = (light.sun_height > -0.06).float() * (light.sun_height < 0.3).float()
    moon_up = (light.moon_height > 0.0).float()
    place = stage.random(104, -0.30, 0.30) * min(1.0, stage.view.aspect) * (sun_up - moon_up * (1.0 - sun_up))
    drop = stage.y - stage.horizon - 0.02
    row = (drop / 0.045).floor()
    wave = torch.sin(row * 2.4 + stage.time * 1.6)
    reach = 0.075 + 0.16 * drop + 0.035 * wave
    across = (x - place - 0.03 * torch.sin(row * 4.1 + stage.time * 1.1)).abs() - reach
    dash = (drop - (row + 0.5) * 0.045).abs() - 0.0135
    figure = torch.maximum(across, dash)
    fade = ((bottom - stage.y) / 0.1).clamp(0.0, 1.0) * (drop > 0)
    seen = by_weather(stage, (1.0, 0.5, 0.15, 0.3, 0.2))
    sun = stage.coverage(figure) * fade * seen
    colour = torch.where(sun_up[:, None] > 0, light.sun, stage.constant((0.86, 0.90, 1.0)))
    stage.tint(colour, sun * (0.75 * sun_up + 0.5 * moon_up * (1.0 - sun_up)))
