"""What stands on the ground: how each figure is built of parts, and how it moves within itself.

Coordinates as in `sprite`: origin in the middle, u to where it looks, v down, the larger side about 1. The ground is at
half the figure's height (`motion.EXTENT`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.figures_air import CREAM, INK
from kinemark.worlds.shapes import box, capsule, circle, convex, ellipse, turned, union

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.sprite import Sprite

GLASS: Final[Rgb] = (0.74, 0.90, 1.0)
METAL: Final[Rgb] = (0.74, 0.76, 0.80)
TYRE: Final[Rgb] = (0.12, 0.12, 0.14)


def _shadow(s: Sprite, ground: float, width: Tensor | float, alpha: Tensor | float = 0.34) -> None:
    s.backdrop(ellipse(s.u, s.v, (0.0, ground), (width, 0.055)), (0.04, 0.04, 0.08), alpha, softness=0.05)


def _wheel(s: Sprite, u: float, v: float, radius: float, turn: Tensor) -> None:
    s.part(circle(s.u, s.v, (u, v), radius), TYRE)
    s.part(circle(s.u, s.v, (u, v), 0.56 * radius), METAL)
    across, down = turned(s.u - u, s.v - v, turn)
    spokes = torch.minimum(across.abs(), down.abs()) - 0.15 * radius
    s.marking(spokes, circle(s.u, s.v, (u, v), 0.62 * radius), TYRE)


def car(s: Sprite) -> None:
    """A car whose wheels roll once in 1.5 s; the four-armed cross repeats every quarter, so it turns slowly."""
    _shadow(s, 0.245, 0.52)
    roll = s.clock * (math.tau / 6.0)
    s.move(down=0.012 * s.swing(1.0))
    cabin = convex(s.u, s.v, ((-0.25, -0.245), (0.10, -0.245), (0.27, -0.02), (-0.36, -0.02)))
    s.body(cabin, 0.84)
    hull = box(s.u, s.v, (0.0, 0.06), (0.53, 0.115), 0.085)
    s.body(hull)
    windows = convex(s.u, s.v, ((-0.21, -0.20), (0.08, -0.20), (0.19, -0.045), (-0.28, -0.045)))
    s.part(torch.maximum(windows, 0.022 - (s.u + 0.05).abs()), GLASS)
    s.marking(circle(s.u, s.v, (0.51, 0.03), s.fine(0.055)), hull + 0.01, (1.0, 0.95, 0.65))
    s.body(torch.maximum((s.v - 0.115).abs() - s.fine(0.022) + 0.0 * s.u, hull + 0.02), 1.35)
    _wheel(s, -0.29, 0.145, 0.125, roll)
    _wheel(s, 0.29, 0.145, 0.125, roll)


def ball(s: Sprite) -> None:
    """A beach ball that bounces once in 1.2 s and rolls; its shadow shrinks as it rises."""
    bounce = s.swing(2.4).abs()
    height = 0.55 * bounce
    s.backdrop(
        ellipse(s.u, s.v, (0.0, 0.42), (0.42 - 0.20 * bounce, 0.07)),
        (0.03, 0.03, 0.07),
        0.42 - 0.14 * bounce,
        softness=0.05,
    )
    s.move(down=-height)
    s.move(turn=s.clock * (math.tau / 6.0))
    disc = circle(s.u, s.v, (0.0, 0.0), 0.43)
    s.body(disc)
    for angle in (0.0, math.tau / 3, 2 * math.tau / 3):
        along, off = turned(s.u, s.v, angle)
        wedge = torch.maximum(off.abs() - 0.06 - 0.20 * along.clamp_min(0.0), -along + 0.05)
        s.marking(wedge * 0.95, disc + 0.015, CREAM)
    s.body(circle(s.u, s.v, (0.0, 0.0), 0.09), 0.75)


def rabbit(s: Sprite) -> None:
    """A rabbit that hops once in 1.2 s; its ears lag behind."""
    hop = s.swing(2.4).abs()
    stretch = s.swing(1.2, 0.25)
    _shadow(s, 0.48, 0.34 - 0.08 * hop, 0.34)
    s.move(down=-0.24 * hop, turn=-0.10 * stretch)
    lag = -0.08 + 0.08 * stretch
    s.part(circle(s.u, s.v, (-0.38, 0.24), 0.085), CREAM)
    s.body(capsule(s.u, s.v, (0.06, -0.14), (-0.01 + lag, -0.42), 0.062), 0.78)
    s.body(union(ellipse(s.u, s.v, (-0.08, 0.22), (0.31, 0.22)), ellipse(s.u, s.v, (-0.22, 0.36), (0.2, 0.10))))
    s.body(ellipse(s.u, s.v, (-0.16 + 0.05 * stretch, 0.425), (0.17, 0.062)), 0.85)
    s.body(capsule(s.u, s.v, (0.17, 0.25), (0.21 + 0.06 * stretch, 0.43), 0.055), 0.90)
    s.body(capsule(s.u, s.v, (0.17, -0.12), (0.14 + lag, -0.43), 0.068))
    s.part(capsule(s.u, s.v, (0.165, -0.17), (0.145 + lag, -0.39), s.fine(0.028)), (1.0, 0.74, 0.76))
    s.body(circle(s.u, s.v, (0.19, 0.02), 0.175))
    s.part(circle(s.u, s.v, (0.255, -0.02), s.fine(0.034)), INK)
    s.part(circle(s.u, s.v, (0.355, 0.045), s.fine(0.030)), (0.95, 0.45, 0.5))


def dog(s: Sprite) -> None:
    """A dog that trots, two legs at a time, once in 1 s, and wags its tail."""
    _shadow(s, 0.385, 0.44)
    step = s.swing(1.0)
    s.move(down=0.02 * s.swing(1.0, 0.2))
    for hip, sign, shade in ((-0.20, -1.0, 0.62), (0.20, 1.0, 0.62), (-0.28, 1.0, 0.82), (0.13, -1.0, 0.82)):
        s.body(capsule(s.u, s.v, (hip, 0.10), (hip + 0.11 * sign * step, 0.335), 0.056), shade)
    wag = 0.09 * s.swing(1.0, 0.4)
    s.body(capsule(s.u, s.v, (-0.34, -0.04), (-0.46 + wag, -0.27), s.fine(0.046)), 0.85)
    s.body(capsule(s.u, s.v, (-0.23, 0.03), (0.19, 0.01), 0.145))
    s.body(capsule(s.u, s.v, (0.20, -0.02), (0.29, -0.18), 0.10))
    s.body(union(circle(s.u, s.v, (0.31, -0.205), 0.148), capsule(s.u, s.v, (0.33, -0.165), (0.44, -0.15), 0.078)))
    s.part(circle(s.u, s.v, (0.505, -0.175), s.fine(0.036)), INK)
    s.part(circle(s.u, s.v, (0.355, -0.245), s.fine(0.033)), INK)
    s.body(capsule(s.u, s.v, (0.225, -0.27), (0.185 + 0.02 * step, -0.12), 0.065), 0.55)
    s.part(capsule(s.u, s.v, (0.175, -0.085), (0.30, -0.055), s.fine(0.030)), CREAM)


def train(s: Sprite) -> None:
    """A steam engine with a wagon; smoke puffs once in 1.5 s."""
    _shadow(s, 0.27, 0.60)
    for step in range(3):
        life = torch.frac(s.clock / 4.5 + step / 3.0)
        puff = circle(s.u, s.v, (0.37 - 0.55 * life, -0.32 - 0.26 * life), 0.05 + 0.09 * life)
        s.backdrop(puff, (0.93, 0.93, 0.95), 0.85 * (1.0 - life), softness=0.02)
    roll = s.clock * (math.tau / 6.0)
    s.part(box(s.u, s.v, (-0.03, 0.165), (0.55, 0.032)), TYRE)
    s.body(box(s.u, s.v, (-0.36, -0.01), (0.215, 0.165), 0.03), 0.80)
    for u in (-0.45, -0.27):
        s.part(box(s.u, s.v, (u, -0.045), (0.058, 0.062), 0.015), (1.0, 0.93, 0.68))
    s.body(box(s.u, s.v, (0.36, -0.20), (0.052, 0.10), 0.01), 0.60)
    s.body(
        union(box(s.u, s.v, (0.29, 0.035), (0.25, 0.135), 0.06), box(s.u, s.v, (0.09, -0.055), (0.125, 0.215), 0.02))
    )
    s.part(box(s.u, s.v, (0.09, -0.135), (0.068, 0.07), 0.015), (1.0, 0.93, 0.68))
    s.part(box(s.u, s.v, (0.085, -0.265), (0.16, 0.03), 0.01), TYRE)
    s.part(torch.maximum((s.u - 0.36).abs() - 0.022, (s.v - 0.035).abs() - 0.13), (0.96, 0.80, 0.32))
    s.part(circle(s.u, s.v, (0.53, 0.0), s.fine(0.045)), (1.0, 0.95, 0.65))
    s.part(convex(s.u, s.v, ((0.50, 0.12), (0.56, 0.12), (0.61, 0.265), (0.50, 0.265))), TYRE)
    for u in (-0.49, -0.24):
        _wheel(s, u, 0.20, 0.078, roll)
    for u in (0.07, 0.32):
        _wheel(s, u, 0.175, 0.105, roll)


def robot(s: Sprite) -> None:
    """A robot that walks, one step in 1 s; its eyes and the lamp on its head shine."""
    step = s.swing(2.0)
    _shadow(s, 0.485, 0.30)
    for side in (-1.0, 1.0):
        lift = 0.045 * (side * step).clamp_min(0.0)
        foot = 0.115 * side + 0.05 * side * step
        s.part(capsule(s.u, s.v, (0.105 * side, 0.22), (foot, 0.40 - lift), s.fine(0.042)), METAL)
        s.body(box(s.u, s.v, (foot + 0.025, 0.452 - lift), (0.095, 0.042), 0.03), 0.72)
    s.move(down=-0.015 * s.swing(1.0), turn=0.04 * step)
    s.part(capsule(s.u, s.v, (0.0, -0.36), (0.0, -0.44), s.fine(0.022)), METAL)
    s.part(circle(s.u, s.v, (0.0, -0.455), s.fine(0.046)), (1.0, 0.80, 0.25))
    for side in (-1.0, 1.0):
        hand = (side * 0.315, 0.13 - 0.08 * side * step)
        s.part(capsule(s.u, s.v, (side * 0.23, -0.03), hand, 0.042), METAL)
        s.body(circle(s.u, s.v, hand, 0.062), 0.72)
    s.body(box(s.u, s.v, (0.0, 0.09), (0.225, 0.165), 0.05))
    s.body(box(s.u, s.v, (0.0, -0.235), (0.215, 0.145), 0.06), 1.06)
    s.part(box(s.u, s.v, (0.035, -0.235), (0.155, 0.085), 0.05), (0.10, 0.13, 0.20))
    for u in (-0.035, 0.105):
        s.part(circle(s.u, s.v, (u, -0.235), s.fine(0.042)), (0.55, 1.0, 0.92))
    s.part(box(s.u, s.v, (0.0, 0.095), (0.115, 0.062), 0.025), CREAM)
    s.part(circle(s.u, s.v, (0.05, 0.095), s.fine(0.034)), (0.95, 0.30, 0.25))
