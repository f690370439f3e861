"""The nine settings: what stands between the sky and the subjects.

Each is a function that paints one `Stage` whose frames all have that setting. Heights and widths are in heights of the
picture, y downwards; `depth` is how much a layer moves when the camera pans (1 for the nearest ground).

Shape suffixes: N frames, C channels, H W size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.noise import spread
from kinemark.worlds.plants import cactus, flowers, palm, pines, reeds, round_trees
from kinemark.worlds.shapes import box, circle, ellipse
from kinemark.worlds.water import glitter, lake_water, sea_water

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.stage import Stage

_GROUND_TOP: Final = 0.40


def _ground(stage: Stage, edge: Tensor, rgb: Rgb, *, near: Rgb, tint: float = 1.0) -> None:
    """Everything below a curve, shaded from `rgb` at the horizon to `near` at the bottom of the picture."""
    depth = ((stage.y - stage.horizon) / 0.5).clamp(0.0, 1.0)[:, None]
    stage.fill(stage.below(edge), torch.lerp(stage.tone(rgb, tint=tint), stage.tone(near, tint=tint), depth))


def sea(stage: Stage) -> None:
    """Open water with rolling, crested waves."""
    sea_water(stage.band(_GROUND_TOP, 1.0))


def lake(stage: Stage) -> None:
    """Still water that mirrors wooded hills; reeds in front."""
    hills = stage.ridge(stage.layer_x(0.25), 200, stage.horizon - 0.115, 0.05, 0.9)
    back = stage.band(0.2, 0.72)
    back.fill(back.below(hills), back.tone((0.36, 0.50, 0.52), 0.45))
    near = stage.ridge(stage.layer_x(0.35), 204, stage.horizon - 0.045, 0.028, 0.7)
    back.fill(back.below(near), back.tone((0.22, 0.42, 0.30), 0.18))
    pines(
        back,
        0.35,
        208,
        base=stage.horizon + 0.03,
        height=(0.13, 0.19),
        spacing=0.13,
        tiers=2,
        rgb=(0.10, 0.30, 0.22),
        haze=0.12,
    )
    front = stage.band(_GROUND_TOP, 1.0)
    lake_water(front, hills, near)
    reeds(front)


def beach(stage: Stage) -> None:
    """Sand in front, a strip of sea with foam behind, a palm."""
    front = stage.band(_GROUND_TOP, 1.0)
    depth = ((front.y - front.horizon) / 0.14).clamp(0.0, 1.0)[:, None]
    water = torch.lerp(front.tone((0.05, 0.40, 0.66)), front.tone((0.20, 0.78, 0.80)), depth)
    front.fill(front.horizon - front.y, water)
    glitter(front, bottom=0.64)
    x = front.layer_x(0.8)
    wash = 0.010 * torch.sin(front.time * 1.8 + front.random(220, 0.0, 6.28))
    shore = front.horizon + 0.135 + 0.016 * torch.sin(x * 6.0 + front.random(221, 0.0, 6.28)) + wash
    front.fill(front.below(shore - 0.018), front.tone((1.0, 1.0, 1.0)), shadow=False, alpha=0.92)
    sand_depth = ((front.y - front.horizon - 0.13) / 0.37).clamp(0.0, 1.0)[:, None]
    sand = torch.lerp(front.tone((1.0, 0.90, 0.64)), front.tone((0.93, 0.75, 0.46)), sand_depth)
    front.fill(front.below(shore + 0.012), sand)
    dune = front.ridge(front.layer_x(1.0), 224, front.horizon + 0.40, 0.025, 1.1)
    front.fill(front.below(dune), front.tone((0.88, 0.68, 0.40)))
    palm(stage)


def desert(stage: Stage) -> None:
    """Dunes behind dunes, and cacti."""
    back = stage.band(0.3, 1.0)
    for step, (depth, height, swing, length, rgb, haze) in enumerate(
        (
            (0.25, -0.055, 0.040, 0.75, (0.88, 0.56, 0.36), 0.35),
            (0.45, -0.005, 0.030, 0.9, (0.93, 0.62, 0.34), 0.15),
        )
    ):
        edge = stage.ridge(stage.layer_x(depth), 240 + 4 * step, stage.horizon + height, swing, length)
        back.fill(back.below(edge), back.tone(rgb, haze))
    cactus(stage, 0.55, 250, base=0.045, size=0.17, cell=0.62)
    front = stage.band(_GROUND_TOP, 1.0)
    edge = stage.ridge(front.layer_x(0.75), 252, stage.horizon + 0.055, 0.025, 1.2)
    _ground(front, edge, (0.97, 0.72, 0.42), near=(0.86, 0.54, 0.26))
    cactus(stage, 0.85, 256, base=0.15, size=0.27, cell=0.95)
    near = stage.ridge(front.layer_x(1.0), 258, stage.horizon + 0.36, 0.035, 1.0)
    front.fill(front.below(near), front.tone((0.80, 0.47, 0.22)))


def meadow(stage: Stage) -> None:
    """Rolling green hills with round trees and flowers."""
    back = stage.band(0.25, 1.0)
    far = stage.ridge(stage.layer_x(0.25), 270, stage.horizon - 0.06, 0.035, 0.8)
    back.fill(back.below(far), back.tone((0.42, 0.68, 0.46), 0.35))
    middle = stage.ridge(stage.layer_x(0.45), 274, stage.horizon - 0.005, 0.028, 0.7)
    round_trees(stage, 0.45, 276, base=0.0, size=0.13)
    back.fill(back.below(middle), back.tone((0.40, 0.74, 0.30), 0.08))
    front = stage.band(_GROUND_TOP, 1.0)
    edge = stage.ridge(front.layer_x(0.8), 278, stage.horizon + 0.06, 0.022, 1.3)
    _ground(front, edge, (0.46, 0.80, 0.28), near=(0.24, 0.60, 0.20))
    flowers(stage)


def forest(stage: Stage) -> None:
    """Row upon row of pines around a dark clearing."""
    back = stage.band(0.1, 0.8)
    pines(
        back,
        0.25,
        290,
        base=stage.horizon + 0.09,
        height=(0.28, 0.38),
        spacing=0.18,
        rgb=(0.24, 0.46, 0.42),
        haze=0.34,
        tiers=2,
    )
    pines(
        back, 0.45, 296, base=stage.horizon + 0.10, height=(0.21, 0.30), spacing=0.19, rgb=(0.12, 0.38, 0.26), haze=0.12
    )
    front = stage.band(_GROUND_TOP, 1.0)
    edge = stage.ridge(front.layer_x(0.75), 300, stage.horizon + 0.055, 0.012, 0.9)
    _ground(front, edge, (0.34, 0.54, 0.22), near=(0.20, 0.34, 0.14))
    tall = stage.band(0.05, 0.9)
    pines(
        tall,
        0.85,
        304,
        base=stage.horizon + 0.13,
        height=(0.40, 0.55),
        spacing=0.62,
        rgb=(0.05, 0.25, 0.15),
        sparse=True,
    )


def snow(stage: Stage) -> None:
    """White hills and snowy firs."""
    back = stage.band(0.15, 1.0)
    far = stage.ridge(stage.layer_x(0.25), 310, stage.horizon - 0.075, 0.045, 0.7)
    back.fill(back.below(far), back.tone((0.78, 0.86, 0.97), 0.20, tint=0.8))
    middle = stage.ridge(stage.layer_x(0.45), 314, stage.horizon - 0.01, 0.025, 0.9)
    back.fill(back.below(middle), back.tone((0.88, 0.93, 1.0), 0.05, tint=0.8))
    wood = stage.band(0.15, 0.8)
    pines(
        wood,
        0.6,
        318,
        base=stage.horizon + 0.10,
        height=(0.20, 0.30),
        spacing=0.24,
        rgb=(0.16, 0.38, 0.38),
        snow=True,
        sparse=True,
    )
    front = stage.band(_GROUND_TOP, 1.0)
    edge = stage.ridge(front.layer_x(0.8), 322, stage.horizon + 0.055, 0.018, 1.2)
    _ground(front, edge, (0.97, 0.98, 1.0), near=(0.78, 0.86, 0.98), tint=0.8)
    drift = stage.ridge(front.layer_x(1.0), 326, stage.horizon + 0.37, 0.03, 1.0)
    front.fill(front.below(drift), front.tone((0.90, 0.94, 1.0), tint=0.8))


def mountains(stage: Stage) -> None:
    """High peaks with snow caps over stony ground."""
    _peaks(stage.band(0.05, 0.75), 0.15, 340, spacing=0.46, height=(0.20, 0.30), rgb=(0.50, 0.55, 0.68), haze=0.42)
    _peaks(stage.band(0.05, 0.75), 0.30, 346, spacing=0.62, height=(0.24, 0.36), rgb=(0.42, 0.43, 0.52), haze=0.12)
    front = stage.band(_GROUND_TOP, 1.0)
    edge = stage.ridge(front.layer_x(0.7), 352, stage.horizon + 0.04, 0.02, 0.6)
    _ground(front, edge, (0.56, 0.54, 0.48), near=(0.40, 0.37, 0.34))
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


#: In the order of `spec.SETTINGS`.
SETTINGS_PAINTED: Final[tuple[Callable[[Stage], None], ...]] = (
    sea,
    lake,
    beach,
    desert,
    meadow,
    forest,
    snow,
    city,
    mountains,
)
#: How far above the horizon the sun is lifted, so that it clears what stands there; in the same order.
SUN_LIFT: Final = (0.0, 0.05, 0.0, 0.03, 0.03, 0.16, 0.03, 0.15, 0.16)
