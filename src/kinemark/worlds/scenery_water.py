"""Settings with water: the open sea, a lake, a beach.

Each is a function that paints one `Stage` whose frames all have that setting. Heights and widths are in heights of the
picture, y downwards; `depth` is how much a layer moves when the camera pans (1 for the nearest ground).

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.plants import palm, pines, reeds
from kinemark.worlds.water import glitter, lake_water, sea_water

if TYPE_CHECKING:
    from kinemark.worlds.stage import Stage

_GROUND_TOP: Final = 0.40


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
