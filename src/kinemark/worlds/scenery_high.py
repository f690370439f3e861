"""Settings with a skyline: mountains, and a city.

Each is a function that paints one `Stage` whose frames all have that setting. Heights and widths are in heights of the
picture, y downwards; `depth` is how much a layer moves when the camera pans (1 for the nearest ground).

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.noise import spread
from kinemark.worlds.scenery_land import ground
from kinemark.worlds.shapes import box, circle, ellipse

if TYPE_CHECKING:
    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.stage import Stage

_GROUND_TOP: Final = 0.40


def mountains(stage: Stage) -> None:
    """High peaks with snow caps over stony ground."""
    _peaks(stage.band(0.05, 0.75), 0.15, 340, spacing=0.46, height=(0.20, 0.30), rgb=(0.50, 0.55, 0.68), haze=0.42)
    _peaks(stage.band(0.05, 0.75), 0.30, 346, spacing=0.62, height=(0.24, 0.36), rgb=(0.42, 0.43, 0.52), haze=0.12)
    front = stage.band(_GROUND_TOP, 1.0)
    edge = stage.ridge(front.layer_x(0.7), 352, stage.horizon + 0.04, 0.02, 0.6)
    ground(front, edge, (0.56, 0.54, 0.48), near=(0.40, 0.37, 0.34))
    _stones(front)


def _peaks(
    stage: Stage, depth: float, stream: int, *, spacing: float, height: tuple[float, float], rgb: Rgb, haze: float
) -> None:
    x = stage.layer_x(depth) + stage.random(stream)
    here = (x / spacing).floor()
    top = torch.full_like(x, 9.0)
    lit = torch.zeros_like(x)
    for step in (-1.0, 0.0, 1.0):
        cell = here + step
        across = x - (cell + stage.cell_random(stream + 1, cell, 0.35, 0.65)) * spacing
        apex = stage.horizon - stage.cell_random(stream + 2, cell, *height)
        slope = 0.95 + 0.12 * torch.sin(across * 31.0 + cell)
        edge = apex + across.abs() * slope
        lit = torch.where(edge < top, across, lit)
        top = torch.minimum(top, edge)
    # The side away from the light is a facet whose border runs in zigzag from the top down.
    border = 0.012 - lit - 0.10 * (stage.y - top) + 0.030 * torch.sin((stage.y - stage.horizon) * 42.0)
    border = border * 0.8
    cap = stage.y - stage.horizon + height[0] * 0.62 - 0.022 * torch.sin(x * 40.0) - 0.012 * torch.sin(x * 67.0)
    dim: Rgb = (0.72 * rgb[0], 0.72 * rgb[1], 0.72 * rgb[2])
    rock = stage.mixed(stage.tone(rgb, haze), stage.tone(dim, haze), border)
    white = stage.tone((0.97, 0.98, 1.0), 0.5 * haze, tint=0.9)
    ice = stage.mixed(white, stage.tone((0.78, 0.83, 0.94), 0.5 * haze, tint=0.9), border)
    stage.fill(stage.below(top), stage.mixed(rock, ice, cap * 0.8))


def _stones(stage: Stage) -> None:
    for step, (line, size, cell_width) in enumerate(((0.10, 0.030, 0.26), (0.22, 0.05, 0.42), (0.42, 0.07, 0.58))):
        x = stage.layer_x(0.75 + 0.12 * step) + stage.random(356 + step)
        cell = (x / cell_width).floor()
        across = x - (cell + stage.cell_random(359 + step, cell, 0.3, 0.7)) * cell_width
        y = stage.horizon + line + stage.cell_random(362 + step, cell, -0.02, 0.02)
        stone = torch.maximum(ellipse(across, stage.y, (0.0, y), (size * 1.4, size)), stage.y - y - 0.25 * size)
        lit = circle(across, stage.y, (-0.4 * size, y - 0.5 * size), size)
        stage.fill(stone, stage.mixed(stage.tone((0.46, 0.44, 0.43)), stage.tone((0.66, 0.64, 0.60)), lit))


def city(stage: Stage) -> None:
    """A skyline whose windows are lit after dark, and a street."""
    _buildings(
        stage.band(0.05, 0.7),
        0.25,
        380,
        width=0.17,
        columns=2,
        height=(0.16, 0.34),
        rgb=(0.56, 0.62, 0.74),
        haze=0.38,
        lit=0.35,
    )
    _buildings(
        stage.band(0.1, 0.75),
        0.45,
        386,
        width=0.25,
        columns=3,
        height=(0.08, 0.24),
        rgb=(0.44, 0.46, 0.56),
        haze=0.06,
        lit=0.9,
    )
    front = stage.band(_GROUND_TOP, 1.0)
    front.fill(front.horizon + 0.06 - front.y, front.tone((0.70, 0.69, 0.67)))
    front.fill(front.horizon + 0.125 - front.y, front.tone((0.33, 0.34, 0.38)))
    x = front.layer_x(1.0)
    dash = torch.remainder(x, 0.30) - 0.15
    y = front.y - front.horizon - 0.30
    front.fill(box(dash, y, (0.0, 0.0), (0.085, 0.015)), front.tone((0.98, 0.90, 0.55)), shadow=False)
    front.fill(front.horizon + 0.44 - front.y, front.tone((0.62, 0.61, 0.60)))


def _buildings(
    stage: Stage,
    depth: float,
    stream: int,
    *,
    width: float,
    columns: int,
    height: tuple[float, float],
    rgb: Rgb,
    haze: float,
    lit: float,
) -> None:
    x = stage.layer_x(depth) + stage.random(stream)
    cell = (x / width).floor()
    across = x - (cell + 0.5) * width
    top = stage.horizon - stage.cell_random(stream + 1, cell, *height)
    half = width * stage.cell_random(stream + 2, cell, 0.38, 0.46)
    distance = torch.maximum(across.abs() - half, top - stage.y)
    shade = stage.cell_random(stream + 3, cell, 0.80, 1.10)[:, None]
    stage.fill(distance, stage.tone(rgb, haze) * shade)
    pitch_x, pitch_y = 0.92 * width / columns, 0.076
    offset = 0.5 * (columns % 2)
    column, row = (across / pitch_x + offset).floor(), ((stage.y - top) / pitch_y).floor()
    du = across - (column + 0.5 - offset) * pitch_x
    dv = (stage.y - top) - (row + 0.64) * pitch_y
    window = torch.maximum(du.abs() - 0.0180, dv.abs() - 0.0215)
    inside = stage.coverage(window) * stage.coverage(distance + 0.010)
    on = (spread(cell + 3.0 * column + 7.0 * row, stage.random(stream + 4)) < 0.62).float() * stage.light.lamps
    glass = torch.lerp(stage.tone((0.40, 0.50, 0.64), haze * 0.6), stage.constant((1.0, 0.83, 0.40)), on[:, None])
    stage.tint(glass, inside * (0.55 + (lit - 0.55) * on))
