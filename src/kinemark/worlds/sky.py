"""The sky: gradient, sun, moon, stars, and clouds.

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.noise import spread
from kinemark.worlds.palette import luminance
from kinemark.worlds.shapes import circle
from kinemark.worlds.spec import WEATHERS

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.worlds.stage import Stage

# What a cloud cover does, in the order of `spec.WEATHERS`: how much it greys the sky, how much it darkens the sky, how
# bright it leaves the scenery, how much of the sun comes through.
_GREYING: Final = (0.0, 0.46, 0.50, 0.40, 0.30)
_DARKENING: Final = (1.0, 0.92, 0.78, 0.97, 1.0)
DAYLIGHT: Final = (1.0, 0.86, 0.84, 0.94, 1.0)
_SUN_SEEN: Final = (1.0, 0.85, 0.35, 0.45, 0.55)

_SKY_BOTTOM: Final = 0.62
_MIDDLE: Final = 0.55
_PAPER_BANDS: Final = 6.0
_STAR_CELL: Final = 0.095
_GLOW_REACH: Final = 0.50


@dataclass(frozen=True, slots=True)
class _CloudRow:
    """One row of clouds: height of its flat bottoms, cell width, cloud size, drift per second, parallax, stream."""

    height: float
    cell: float
    size: float
    drift: float
    depth: float
    stream: int


_CLOUDS: Final = (
    _CloudRow(height=0.36, cell=0.52, size=0.72, drift=0.012, depth=0.10, stream=120),
    _CloudRow(height=0.20, cell=0.66, size=1.0, drift=0.022, depth=0.16, stream=130),
)


def by_weather(stage: Stage, values: tuple[float, ...]) -> Tensor:
    """`[N, 1, 1]`: a value for each weather, looked up for each frame."""
    return stage.image_NCHW.new_tensor(values)[stage.view.weather_N][:, None, None]


def paint_sky(stage: Stage) -> None:
    """Paint the whole sky, over everything above and a little below the horizon."""
    _gradient(stage)
    _sun(stage.band(0.0, _SKY_BOTTOM))
    dark = (stage.light.stars[:, 0, 0] > 0.0).nonzero()[:, 0]
    if len(dark):
        part = stage.subset(dark)
        _stars(part.band(0.0, _SKY_BOTTOM))
        _moon(part.band(0.0, _SKY_BOTTOM))
        stage.put(dark, part)
    cloudy = torch.isin(
        stage.view.weather_N,
        torch.tensor(
            [WEATHERS.index(name) for name in ("cloudy", "rain", "snowfall")], device=stage.view.weather_N.device
        ),
    ).nonzero()[:, 0]
    if len(cloudy):
        part = stage.subset(cloudy)
        _clouds(part.band(0.0, _SKY_BOTTOM))
        stage.put(cloudy, part)


def _gradient(stage: Stage) -> None:
    light = stage.light
    height = (stage.y / stage.horizon).clamp(0.0, 1.0)
    if stage.paper is not None:
        height = torch.where(stage.view.paper_N[:, None, None], _paper_steps(stage, height), height)
    height = height[:, None]
    upper = torch.lerp(light.sky_top, light.sky_middle, (height / _MIDDLE).clamp(0.0, 1.0))
    colour = torch.lerp(upper, light.sky_low, ((height - _MIDDLE) / (1.0 - _MIDDLE)).clamp(0.0, 1.0))
    # A cover of cloud takes colour from the sky, and evens out what is left.
    cover = by_weather(stage, _GREYING)[:, None]
    even = torch.lerp(light.sky_middle, light.cloud, 0.5)
    even = torch.lerp(even, luminance(even).expand_as(even), 0.4)
    colour = torch.lerp(colour, even, cover) * by_weather(stage, _DARKENING)[:, None]
    stage.image_NCHW.copy_(colour.expand_as(stage.image_NCHW))


def _paper_steps(stage: Stage, height: Tensor) -> Tensor:
    """Cut the gradient into sheets with wavy edges; each edge is a ramp one pixel wide."""
    wave = 0.035 * torch.sin(stage.layer_x(0.05) * 5.3 + stage.random(100, 0.0, 6.28))
    ramp = stage.pixel / stage.horizon * _PAPER_BANDS
    steps = (height + wave * (1.0 - height)).clamp(0.0, 1.0) * _PAPER_BANDS - 0.5 * ramp
    whole = steps.floor()
    return (whole + ((steps - whole - 1.0) / ramp + 1.0).clamp(0.0, 1.0)).clamp_min(0.0) / _PAPER_BANDS


def _stars(stage: Stage) -> None:
    x, y = stage.layer_x(0.0) / _STAR_CELL, stage.y / _STAR_CELL
    column, row = x.floor(), y.floor()
    cell = column + 17.0 * row
    draw = spread(cell, stage.random(101))
    dx = x - column - 0.3 - 0.4 * spread(cell, stage.random(102), sequence=1)
    dy = y - row - 0.3 - 0.4 * draw
    twinkle = 0.8 + 0.2 * torch.sin(6.28 * (stage.time * 0.5 + draw))
    shown = spread(cell, stage.random(103), 1) < 0.55 * stage.light.stars.sqrt()
    fade = ((stage.horizon - stage.y) / 0.15).clamp(0.0, 1.0) * by_weather(stage, (1.0, 0.25, 0.0, 0.25, 0.0))
    alpha = stage.blob((dx * dx + dy * dy) * _STAR_CELL**2, 0.0115) * twinkle * fade * shown
    stage.tint(stage.constant((1.0, 0.97, 0.86)), alpha)


def _sun(stage: Stage) -> None:
    light = stage.light
    x = stage.layer_x(0.03)
    seen = by_weather(stage, _SUN_SEEN)
    sun_x = stage.random(104, -0.30, 0.30) * min(1.0, stage.view.aspect)
    sun_y = stage.horizon - light.sun_height
    away = circle(x, stage.y, (sun_x, sun_y), 0.0)
    glow = (1.0 - away / _GLOW_REACH).clamp_(0.0, 1.0) ** 2 * light.sun_glow * (0.35 + 0.65 * seen)
    stage.tint(light.sun, glow)
    up = (light.sun_height > -0.2).float()
    stage.fill(away - light.sun_radius, light.sun, alpha=seen * up)


def _moon(stage: Stage) -> None:
    light = stage.light
    x = stage.layer_x(0.03)
    sun_x = stage.random(104, -0.30, 0.30) * min(1.0, stage.view.aspect)
    moon_y = stage.horizon - light.moon_height
    disc = circle(x, stage.y, (-sun_x, moon_y), 0.070)
    shade = circle(x, stage.y, (0.042 - sun_x, moon_y - 0.024), 0.062)
    halo = (1.0 - (disc + 0.07) / 0.28).clamp_(0.0, 1.0) ** 2 * 0.22
    risen = (light.moon_height > -0.2).float() * (0.35 + 0.65 * by_weather(stage, _SUN_SEEN))
    stage.tint(stage.constant((0.62, 0.72, 1.0)), halo * risen)
    stage.fill(torch.maximum(disc, -shade), stage.constant((1.0, 0.96, 0.80)), alpha=risen)


def _clouds(stage: Stage) -> None:
    grey = stage.light.cloud * by_weather(stage, (1.0, 1.0, 0.62, 0.96, 1.0))[:, None]
    grey = torch.lerp(grey, luminance(grey).expand_as(grey), 0.25)
    for row in _CLOUDS:
        x = stage.layer_x(row.depth) - stage.time * row.drift + stage.random(row.stream)
        cell = (x / row.cell).floor()
        size = row.size * stage.cell_random(row.stream + 1, cell, 0.85, 1.1)
        local = x - (cell + 0.5) * row.cell - stage.cell_random(row.stream + 2, cell, -0.03, 0.03)
        bottom = row.height + stage.cell_random(row.stream + 3, cell, -0.05, 0.03)
        side = torch.where(stage.cell_random(row.stream + 4, cell) < 0.5, -1.0, 1.0)
        u, v = local * side / size, (stage.y - bottom) / size
        puffs = torch.minimum(
            torch.minimum(circle(u, v, (-0.13, -0.02), 0.085), circle(u, v, (-0.02, -0.075), 0.115)),
            torch.minimum(circle(u, v, (0.115, -0.04), 0.09), circle(u, v, (0.20, 0.0), 0.055)),
        )
        distance = torch.maximum(puffs, v - 0.022) * size
        underside = -v * size - 0.012
        stage.fill(distance, stage.mixed(grey, grey * 0.92, underside), alpha=0.96)
