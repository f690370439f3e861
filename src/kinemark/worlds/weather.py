"""Weather in front of the scenery: fog, rain and snowfall, in strokes large enough to be learnt at 64 pixels.

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.noise import spread
from kinemark.worlds.palette import luminance

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.worlds.stage import Stage

_SLANT: Final = 0.30
#: Rain: width of a column, half width and half length of a streak, distance between streaks, heights fallen a second.
_RAIN: Final = ((0.105, 0.0135, 0.085, 0.52, 0.50), (0.185, 0.0170, 0.115, 0.70, 0.66))
#: Snow: cell, least and greatest spread (standard deviation) of a flake, heights fallen a second, sway.
_SNOW: Final = ((0.175, 0.0160, 0.019, 0.10, 0.025), (0.265, 0.022, 0.026, 0.15, 0.035))


def veil_colour(stage: Stage) -> Tensor:
    """`[N, 3, 1, 1]`: the colour of mist in the present light."""
    low = torch.lerp(stage.light.sky_low, stage.light.sky_middle, 0.35)
    grey = torch.lerp(low, luminance(low).expand_as(low), 0.45)
    return grey * 0.88 + 0.10


def fog(stage: Stage, strength: float) -> None:
    """Veil the picture, most at the horizon, in bands that drift."""
    near = (1.0 - ((stage.y - stage.horizon).abs() / 0.55)).clamp(0.0, 1.0)
    x, y = stage.layer_x(0.4), stage.y
    phase = stage.random(140, 0.0, math.tau)
    bands = torch.sin(x * 4.2 + stage.time * 0.42 + phase + 1.8 * torch.sin(y * 9.0 + phase))
    bands = bands * torch.sin(y * 21.0 + 0.8 * torch.sin(x * 3.1 - stage.time * 0.3))
    alpha = strength * (0.60 + 0.32 * near + 0.14 * bands)
    stage.tint(veil_colour(stage), alpha.clamp(0.0, 0.95))


def rain(stage: Stage) -> None:
    """Darken a little and draw long slanted streaks."""
    light = luminance(stage.light.sky_low)
    stage.tint(veil_colour(stage) * 0.75, torch.full_like(stage.x + stage.y, 0.20))
    colour = stage.constant((0.86, 0.92, 1.0)) * (0.55 + 0.45 * light)
    for step, (width, half, reach, period, speed) in enumerate(_RAIN):
        x = stage.layer_x(0.5 + 0.5 * step) + _SLANT * stage.y
        column = (x / width).floor()
        across = x - (column + 0.3 + 0.4 * spread(column, stage.random(144 + step))) * width
        fall = (stage.y - speed * stage.time) / period + spread(column, stage.random(146 + step), sequence=1)
        along = (fall - fall.floor() - 0.5).abs() * period
        alpha = stage.coverage(across.abs() - half) * ((reach - along) / 0.05).clamp(0.0, 1.0)
        stage.tint(colour, alpha * 0.62)


def snowfall(stage: Stage) -> None:
    """Draw large flakes that sink and sway."""
    light = luminance(stage.light.sky_low)
    stage.tint(veil_colour(stage), torch.full_like(stage.x + stage.y, 0.14))
    colour = stage.constant((1.0, 1.0, 1.0)) * (0.72 + 0.28 * light)
    for step, (cell, small, large, speed, sway) in enumerate(_SNOW):
        swing = sway * torch.sin(stage.time * 1.4 + stage.y * 4.0 + stage.random(150 + step, 0.0, math.tau))
        x, y = (stage.layer_x(0.6) + swing) / cell, (stage.y - speed * stage.time) / cell
        column = x.floor()
        y = y + spread(column, stage.random(152 + step))
        row = y.floor()
        key = column + 5.0 * row
        draw = spread(key, stage.random(154 + step))
        margin = 0.31
        u = (x - column - margin - (1 - 2 * margin) * draw) * cell
        v = (y - row - margin - (1 - 2 * margin) * spread(key, stage.random(156 + step), sequence=1)) * cell
        alpha = stage.blob(u * u + v * v, small + (large - small) * draw)
        # What is left of a flake at the border of its cell is cut off: no seams.
        stage.tint(colour, (1.3 * alpha - 0.03).clamp_(0.0, 1.0))


def paper_grain(stage: Stage) -> None:
    """Give paper its broad fibres."""
    x, y = stage.x, stage.y
    one, two = stage.random(160, 0.0, math.tau), stage.random(161, 0.0, math.tau)
    fibres = torch.sin(x * 31.0 + y * 17.0 + one + 2.0 * torch.sin(y * 13.0 + two))
    fibres = fibres + torch.sin(x * 19.0 - y * 37.0 + two + 2.0 * torch.sin(x * 11.0 + one))
    stage.image_NCHW.mul_(1.0 + 0.022 * fibres[:, None])
