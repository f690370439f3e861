"""Settings in the open country: desert, meadow, forest, snow.

Each is a function that paints one `Stage` whose frames all have that setting. Heights and widths are in heights of the
picture, y downwards; `depth` is how much a layer moves when the camera pans (1 for the nearest ground).

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.plants import cactus, flowers, pines, round_trees

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.stage import Stage

_GROUND_TOP: Final = 0.40


def ground(stage: Stage, edge: Tensor, rgb: Rgb, *, near: Rgb, tint: float = 1.0) -> None:
    """Everything below a curve, shaded from `rgb` at the horizon to `near` at the bottom of the picture."""
    depth = ((stage.y - stage.horizon) / 0.5).clamp(0.0, 1.0)[:, None]
    stage.fill(stage.below(edge), torch.lerp(stage.tone(rgb, tint=tint), stage.tone(near, tint=tint), depth))


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
    ground(front, edge, (0.97, 0.72, 0.42), near=(0.86, 0.54, 0.26))
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
    ground(front, edge, (0.46, 0.80, 0.28), near=(0.24, 0.60, 0.20))
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
    ground(front, edge, (0.34, 0.54, 0.22), near=(0.20, 0.34, 0.14))
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
    ground(front, edge, (0.97, 0.98, 1.0), near=(0.78, 0.86, 0.98), tint=0.8)
    drift = stage.ridge(front.layer_x(1.0), 326, stage.horizon + 0.37, 0.03, 1.0)
    front.fill(front.below(drift), front.tone((0.90, 0.94, 1.0), tint=0.8))
