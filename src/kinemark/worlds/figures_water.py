"""What floats: how each figure is built of parts, and how it moves within itself.

Coordinates as in `sprite`: origin in the middle, u to where it looks, v down, the larger side about 1. The water line
is a little above half the figure's height (`motion.EXTENT`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.figures_air import BEAK, CREAM, INK
from kinemark.worlds.shapes import capsule, circle, convex, ellipse, turned, union

if TYPE_CHECKING:
    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.sprite import Sprite

FOAM: Final[Rgb] = (0.92, 0.97, 1.0)


def _ripples(s: Sprite, line: float, width: float) -> None:
    """Rings of foam where something stands in the water; they breathe once in 2 s."""
    breath = 0.05 * s.swing(2.0)
    ring = ellipse(s.u, s.v, (0.0, line + 0.02), (width + breath, 0.060))
    s.backdrop(ring, FOAM, 0.55, softness=0.02)


def sailboat(s: Sprite) -> None:
    """A boat with two sails; it rocks once in 2.5 s."""
    _ripples(s, 0.455, 0.40)
    water = s.v - 0.465 + 0.0 * s.u
    s.move(down=0.018 * s.swing(2.0))
    s.u, s.v = turned(s.u, s.v - 0.42, 0.11 * s.swing(2.5))
    s.v = s.v + 0.42
    s.water_line(water)
    s.part(capsule(s.u, s.v, (0.02, -0.46), (0.02, 0.30), s.fine(0.020)), (0.40, 0.26, 0.15))
    s.body(convex(s.u, s.v, ((-0.02, -0.45), (-0.02, 0.22), (-0.40, 0.22))))
    s.body(convex(s.u, s.v, ((0.06, -0.34), (0.38, 0.22), (0.06, 0.22))), 1.22)
    hull = convex(s.u, s.v, ((-0.44, 0.27), (0.46, 0.27), (0.33, 0.50), (-0.33, 0.50)))
    s.part(hull, (0.46, 0.28, 0.15))
    s.marking((s.v - 0.315).abs() - s.fine(0.028) + 0.0 * s.u, hull, CREAM)


def duck(s: Sprite) -> None:
    """A duck that bobs once in 1.5 s."""
    _ripples(s, 0.37, 0.42)
    water = s.v - 0.385 + 0.0 * s.u
    s.move(down=0.025 * s.swing(1.5), turn=0.07 * s.swing(1.5, 0.25))
    s.water_line(water)
    s.body(convex(s.u, s.v, ((-0.53, -0.02), (-0.22, 0.06), (-0.22, 0.32), (-0.40, 0.24))), 0.80)
    s.body(union(ellipse(s.u, s.v, (-0.06, 0.22), (0.39, 0.21)), capsule(s.u, s.v, (0.16, 0.12), (0.20, -0.12), 0.12)))
    s.part(
        union(ellipse(s.u, s.v, (0.42, -0.15), (0.115, 0.052)), circle(s.u, s.v, (0.36, -0.165), s.fine(0.05))), BEAK
    )
    s.body(circle(s.u, s.v, (0.21, -0.205), 0.185))
    s.part(circle(s.u, s.v, (0.275, -0.245), s.fine(0.040)), INK)
    flutter = 0.03 * s.swing(1.5, 0.5)
    wing = union(
        ellipse(s.u, s.v, (-0.10, 0.185 + flutter), (0.21, 0.115)),
        convex(s.u, s.v, ((-0.36, 0.08 + flutter), (-0.12, 0.08 + flutter), (-0.12, 0.29 + flutter))),
    )
    s.body(wing, 0.68)


def whale(s: Sprite) -> None:
    """A whale that dips and spouts once in 4 s; the tail waves once in 2 s."""
    _ripples(s, 0.235, 0.55)
    water = s.v - 0.245 + 0.012 * torch.sin(s.u * 14.0 + s.clock * 2.0)
    dip = s.swing(4.0)
    spout = (-dip).clamp_min(0.0)
    s.move(down=0.035 + 0.075 * dip, turn=0.05 * s.swing(4.0, 0.25))
    for side in (-1.0, 1.0):
        reach = (0.14 + side * 0.10 * spout, -0.34 - 0.16 * spout)
        jet = capsule(s.u, s.v, (0.14, -0.24), reach, 0.034)
        s.backdrop(jet, FOAM, 0.92 * (spout * 3.0).clamp_max(1.0))
        s.backdrop(circle(s.u, s.v, reach, 0.052), FOAM, 0.92 * (spout * 3.0).clamp_max(1.0))
    s.water_line(water)
    wave = 0.08 * s.swing(2.0)
    s.body(capsule(s.u, s.v, (-0.22, 0.12), (-0.43, -0.10 + wave), 0.075), 0.92)
    for lean in (-0.13, 0.12):
        s.body(capsule(s.u, s.v, (-0.43, -0.10 + wave), (-0.43 + lean, -0.225 + wave), 0.052), 0.80)
    trunk = ellipse(s.u, s.v, (0.10, 0.06), (0.43, 0.285))
    s.body(trunk)
    belly = ellipse(s.u, s.v, (0.20, 0.25), (0.36, 0.15))
    s.marking(belly, trunk + 0.01, CREAM)
    s.body(capsule(s.u, s.v, (0.06, 0.14), (-0.06, 0.25), 0.05), 0.70)
    s.part(circle(s.u, s.v, (0.36, 0.01), s.fine(0.040)), (1.0, 1.0, 1.0))
    s.part(circle(s.u, s.v, (0.372, 0.012), s.fine(0.027)), INK)
