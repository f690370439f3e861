"""Plants: what grows in the settings, one per cell along a layer, so that a panning camera never runs out of them.

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.motion import HORIZON
from kinemark.worlds.noise import spread
from kinemark.worlds.shapes import box, capsule, circle, ellipse, union

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.stage import Stage


#: Height of the lowest tier of a pine, of the whole tree; the others are smaller.
_TIER_WIDTH: Final = 0.58


def pines(
    stage: Stage,
    depth: float,
    stream: int,
    *,
    base: Tensor,
    height: tuple[float, float],
    spacing: float,
    rgb: Rgb,
    haze: float = 0.0,
    tiers: int = 3,
    snow: bool = False,
    sparse: bool = False,
) -> None:
    """Paint a row of pines; dense rows are two rows shifted by half a cell.

    Args:
        stage: where to.
        depth: of the layer.
        stream: first of four streams of random numbers.
        base: `[N, 1, 1]`, height of the foot of the trees.
        height: least and greatest height of a tree.
        spacing: width of a cell.
        rgb: colour of the needles.
        haze: how far they fade into the sky.
        tiers: of branches.
        snow: their branches carry snow.
        sparse: leave out some, and the second row.
    """
    for row in range(1 if sparse else 2):
        x = stage.layer_x(depth) + stage.random(stream) + 0.5 * spacing * row
        cell = (x / spacing).floor()
        key = stream + 1 + 3 * row
        across = (x - (cell + stage.cell_random(key, cell, 0.46, 0.54)) * spacing).abs()
        tall = stage.cell_random(key + 1, cell, *height)
        if sparse:
            across = across + 9.0 * (stage.cell_random(key + 2, cell) > 0.75)
        half = torch.minimum(tall * 0.32, torch.full_like(tall, 0.46 * spacing))
        slope = half / (_TIER_WIDTH * tall)
        steep = torch.rsqrt(1.0 + slope * slope)
        # All tiers have the same slope, so they share one slanted coordinate.
        slanted = across * steep - stage.y * (slope * steep)
        shade = stage.cell_random(key, cell, 0.85, 1.1)[:, None]
        needles, caps = None, None
        for tier in range(tiers):
            top = base - tall * (1.0 - (1.0 - _TIER_WIDTH) * tier / max(1, tiers - 1))
            bottom = top + tall * (_TIER_WIDTH - 0.16 * (tiers - 1 - tier) * (3 / tiers))
            side = slanted + top * (slope * steep)
            needles = _joined(needles, torch.maximum(side, stage.y - bottom))
            if snow:
                # A little wider than the tier, so that its slanted edge is blended once, with the sky.
                caps = _joined(caps, torch.maximum(side - 0.012, stage.y - torch.lerp(top, bottom, 0.62)))
        assert needles is not None, "a pine has at least one tier"
        colour = stage.tone(rgb, haze) * shade
        if caps is not None:
            colour = stage.mixed(colour, stage.tone((0.95, 0.97, 1.0), tint=0.8), caps)
        stage.fill(needles, colour)


def _joined(figure: Tensor | None, more: Tensor) -> Tensor:
    return more if figure is None else torch.minimum(figure, more)


def reeds(stage: Stage) -> None:
    """Paint tufts of bulrushes at both sides of the foreground."""
    half_width = 0.5 * stage.view.aspect
    for step, (side, lean, tall) in enumerate(
        ((-1, 0.02, 0.30), (-1, -0.03, 0.24), (-1, 0.05, 0.20), (1, -0.03, 0.27), (1, 0.02, 0.21))
    ):
        foot = side * (half_width - 0.035 - 0.05 * (step % 3)) + 0.0 * stage.horizon
        sway = 0.010 * torch.sin(stage.time * 1.5 + step + stage.random(212, 0.0, 6.28))
        x = stage.layer_x(0.0)
        top = (foot + lean + sway, 1.02 - tall)
        stage.fill(capsule(x, stage.y, (foot, 1.05), top, 0.0125), stage.tone((0.28, 0.52, 0.20)))
        head = capsule(x, stage.y, (foot + lean + sway, 1.02 - tall), (foot + 1.2 * (lean + sway), 0.95 - tall), 0.020)
        stage.fill(head, stage.tone((0.42, 0.24, 0.12)))


def palm(stage: Stage) -> None:
    """Paint one palm that leans in from the left or right edge."""
    side = torch.where(stage.random(228) < 0.5, -1.0, 1.0)
    foot = side * (0.5 * stage.view.aspect - 0.06)
    u = (stage.layer_x(0.8) - foot) * -side
    y = stage.y
    bend = 0.12 * ((0.80 - y) / 0.55).clamp(0.0, 1.0) ** 2
    trunk = torch.maximum((u - bend).abs() - 0.014 - 0.012 * ((y - 0.25) / 0.55), torch.maximum(0.25 - y, y - 0.80))
    stage.fill(trunk * 0.9, stage.tone((0.50, 0.33, 0.18)))
    crown_u, crown_v = u - 0.12, y - 0.25
    sway = 0.05 * torch.sin(stage.time * 1.5 + stage.random(229, 0.0, 6.28))
    leaves = None
    for angle in (-2.9, -2.25, -0.95, -0.2, 0.45, 2.65):
        cos, sin = torch.cos(angle + sway), torch.sin(angle + sway)
        along, off = crown_u * cos + crown_v * sin, crown_v * cos - crown_u * sin
        arch = (1.0 if math.cos(angle) > 0 else -1.0) * 2.2 * (along - 0.02) ** 2
        leaf = (off - arch + 0.0).abs() - 0.030 * (1.0 - ((along - 0.105) / 0.115) ** 2)
        leaves = leaf if leaves is None else torch.minimum(leaves, leaf)
    assert leaves is not None, "a palm has leaves"
    stage.fill(leaves * 0.85, stage.tone((0.12, 0.50, 0.22)))
    nuts = union(circle(crown_u, crown_v, (-0.018, 0.022), 0.018), circle(crown_u, crown_v, (0.020, 0.024), 0.018))
    stage.fill(nuts, stage.tone((0.36, 0.22, 0.12)), shadow=False)


def cactus(stage: Stage, depth: float, stream: int, *, base: float, size: float, cell: float) -> None:
    """Paint saguaros: a column with an arm at either side. `base` is their foot below the horizon."""
    x = stage.layer_x(depth) + stage.random(stream)
    place = (x / cell).floor()
    scale = size * stage.cell_random(stream + 1, place, 0.85, 1.1)
    u = (x - (place + stage.cell_random(stream + 2, place, 0.35, 0.65)) * cell) / scale
    u = u * torch.where(stage.cell_random(stream + 3, place) < 0.5, -1.0, 1.0)
    v = (stage.y - stage.horizon - base) / scale
    figure = union(
        capsule(u, v, (0.0, 0.1), (0.0, -0.90), 0.115),
        capsule(u, v, (0.0, -0.32), (0.28, -0.36), 0.075),
        capsule(u, v, (0.28, -0.36), (0.28, -0.62), 0.08),
        capsule(u, v, (0.0, -0.46), (-0.27, -0.50), 0.075),
        capsule(u, v, (-0.27, -0.50), (-0.27, -0.78), 0.08),
    )
    stage.fill(figure * scale, stage.tone((0.16, 0.50, 0.26)))
    rib = capsule(u, v, (-0.03, 0.1), (-0.03, -0.86), 0.035)
    stage.fill(rib * scale, stage.tone((0.30, 0.64, 0.34)), shadow=False)


def round_trees(stage: Stage, depth: float, stream: int, *, base: float, size: float) -> None:
    """Paint a few trees with round crowns. `base` is their foot below the horizon."""
    width = 0.42
    x = stage.layer_x(depth) + stage.random(stream)
    cell = (x / width).floor()
    u = (x - (cell + stage.cell_random(stream + 1, cell, 0.3, 0.7)) * width) / size
    v = (stage.y - stage.horizon - base) / size
    stage.fill(box(u, v, (0.0, -0.1), (0.07, 0.35)) * size, stage.tone((0.42, 0.28, 0.16)))
    crown = union(
        circle(u, v, (0.0, -0.80), 0.40), circle(u, v, (-0.30, -0.58), 0.28), circle(u, v, (0.30, -0.58), 0.28)
    )
    stage.fill(crown * size, stage.tone((0.20, 0.52, 0.22), 0.08))


def flowers(stage: Stage) -> None:
    """Paint flowers all over the near ground, larger towards the viewer."""
    colours = ((1.0, 0.98, 0.95), (1.0, 0.80, 0.15), (1.0, 0.42, 0.58))
    for step, (drop, radius, width) in enumerate(
        ((0.12, 0.0155, 0.17), (0.20, 0.018, 0.21), (0.30, 0.022, 0.25), (0.43, 0.027, 0.30))
    ):
        row = stage.band(HORIZON + drop - 0.06, HORIZON + drop + 0.06)
        x = row.layer_x(0.85 + 0.05 * step) + row.random(282 + step)
        cell = (x / width).floor()
        u = x - (cell + 0.25 + 0.5 * spread(cell, row.random(286))) * width
        v = row.y - row.horizon - drop - 0.06 * (spread(cell, row.random(287), sequence=1) - 0.5)
        rgb = colours[step % 3]
        row.fill(ellipse(u, v, (0.0, 0.0), (radius * 1.15, radius)), row.tone(rgb), shadow=False)
        row.fill(circle(u, v, (0.0, 0.0), radius * 0.45), row.tone((1.0, 0.62, 0.1)), shadow=False)
