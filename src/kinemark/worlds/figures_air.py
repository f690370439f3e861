"""What flies: how each figure is built of parts, and how it moves within itself.

Coordinates as in `sprite`: origin in the middle, u to where it looks, v down, the larger side about 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.shapes import box, capsule, circle, convex, ellipse, turned, union, wedge

if TYPE_CHECKING:
    from kinemark.worlds.palette import Rgb
    from kinemark.worlds.sprite import Sprite

INK: Final[Rgb] = (0.08, 0.08, 0.11)
CREAM: Final[Rgb] = (1.0, 0.96, 0.86)
BEAK: Final[Rgb] = (1.0, 0.62, 0.12)


def bird(s: Sprite) -> None:
    """A bird in flight; the wings beat once in 1.2 s."""
    beat = s.swing(1.2)
    s.move(down=-0.03 * beat)
    lift = 0.06 + 0.36 * beat
    s.body(wedge(s.u, s.v, (0.07, -0.03), (-0.12, -0.92 * lift - 0.05), 0.10, 0.025), 0.62)
    trunk = union(ellipse(s.u, s.v, (0.02, 0.01), (0.27, 0.115)), circle(s.u, s.v, (0.27, -0.06), 0.105))
    s.part(convex(s.u, s.v, ((0.34, -0.11), (0.50, -0.04), (0.34, -0.005))), BEAK)
    s.body(wedge(s.u, s.v, (-0.16, 0.0), (-0.44, -0.03), 0.055, 0.085), 0.80)
    s.body(trunk)
    s.part(ellipse(s.u, s.v, (0.06, 0.075), (0.15, 0.05)), CREAM)
    near = union(
        wedge(s.u, s.v, (0.08, 0.0), (-0.24, -lift), 0.115, 0.035),
        wedge(s.u, s.v, (0.0, 0.01), (-0.30, -0.72 * lift), 0.085, 0.035),
    )
    s.body(near, 1.16)
    s.part(circle(s.u, s.v, (0.30, -0.08), s.fine(0.030)), INK)


def balloon(s: Sprite) -> None:
    """A hot-air balloon; it sways once in 4 s."""
    s.move(turn=0.09 * s.swing(4.0))
    ropes = union(
        capsule(s.u, s.v, (-0.15, 0.2), (-0.07, 0.38), s.fine(0.014)),
        capsule(s.u, s.v, (0.15, 0.2), (0.07, 0.38), s.fine(0.014)),
    )
    s.part(ropes, (0.45, 0.33, 0.22))
    s.part(box(s.u, s.v, (0.0, 0.43), (0.095, 0.07), 0.02), (0.55, 0.34, 0.16))
    envelope = union(
        circle(s.u, s.v, (0.0, -0.135), 0.365),
        convex(s.u, s.v, ((-0.335, 0.01), (0.335, 0.01), (0.12, 0.27), (-0.12, 0.27))),
    )
    s.body(envelope)
    taper = (1.0 - ((s.v + 0.135) / 0.44) ** 2).clamp_min(0.02).sqrt()
    gore = (s.u.abs() / taper - 0.20).abs() - 0.052
    s.body(torch.maximum(gore * taper, envelope + 0.01), 1.42)
    s.body(torch.maximum((s.v - 0.225).abs() - 0.03, envelope), 0.7)


def kite(s: Sprite) -> None:
    """A diamond with a tail of bows; it swoops once in 3 s."""
    s.move(right=0.10 * s.swing(3.0), down=0.05 * s.swing(1.5))
    s.move(turn=0.30 + 0.22 * s.swing(3.0, 0.25))
    for step in range(3):
        wave = 0.055 * s.swing(1.5, 0.3 - 0.22 * step)
        v = 0.20 + 0.125 * step
        s.part(capsule(s.u, s.v, (0.0, v - 0.06), (wave, v + 0.05), s.fine(0.016)), CREAM)
        s.body(
            union(
                ellipse(s.u, s.v, (wave - 0.05, v + 0.03), (0.055, 0.038)),
                ellipse(s.u, s.v, (wave + 0.05, v + 0.03), (0.055, 0.038)),
            ),
            0.82,
        )
    top, right, bottom, left = (0.0, -0.50), (0.30, -0.20), (0.0, 0.17), (-0.30, -0.20)
    sail = convex(s.u, s.v, (top, right, bottom, left))
    s.body(sail)
    s.body(torch.maximum(sail, torch.minimum(torch.maximum(s.u, s.v + 0.2), torch.maximum(-s.u, -s.v - 0.2))), 1.14)
    spars = torch.minimum(s.u.abs() - s.fine(0.014) + 0.0 * s.v, (s.v + 0.20).abs() - s.fine(0.014) + 0.0 * s.u)
    s.marking(spars, sail, CREAM)


def plane(s: Sprite) -> None:
    """A small aeroplane; the nose rises and falls once in 3 s, the propeller shimmers."""
    s.move(turn=0.07 * s.swing(3.0))
    fin = convex(s.u, s.v, ((-0.50, -0.27), (-0.38, -0.27), (-0.24, -0.02), (-0.50, -0.02)))
    s.body(fin, 0.78)
    hull = union(
        capsule(s.u, s.v, (-0.16, 0.0), (0.33, 0.0), 0.125),
        convex(s.u, s.v, ((-0.53, -0.075), (-0.12, -0.122), (-0.12, 0.122), (-0.50, 0.0))),
    )
    blade = 0.10 + 0.08 * s.swing(1.0).abs()
    s.part(ellipse(s.u, s.v, (0.495, 0.0), (0.026, blade)), (0.62, 0.64, 0.70))
    s.body(hull)
    s.marking((s.v - 0.075).abs() - s.fine(0.026) + 0.0 * s.u, hull + 0.012, CREAM)
    for step in range(3):
        s.part(circle(s.u, s.v, (-0.10 + 0.135 * step, -0.035), s.fine(0.036)), (0.72, 0.90, 1.0))
    s.part(convex(s.u, s.v, ((0.26, -0.10), (0.36, -0.085), (0.42, -0.02), (0.28, -0.02))), (0.72, 0.90, 1.0))
    s.body(convex(s.u, s.v, ((-0.02, 0.055), (0.17, 0.055), (-0.10, 0.27), (-0.25, 0.27))), 0.70)


def butterfly(s: Sprite) -> None:
    """Two pairs of wings that open and close once in 1.2 s."""
    s.move(down=0.05 * s.swing(1.2, 0.25), turn=0.12 * s.swing(2.4))
    open_ = 0.72 + 0.28 * s.swing(1.2)
    w, v = s.u.abs() / open_, s.v
    upper = turned(w - 0.25, v + 0.155, -0.55)
    lower = turned(w - 0.19, v - 0.195, 0.65)
    forewing = ellipse(*upper, (0.0, 0.0), (0.265, 0.185)) * open_
    hindwing = ellipse(*lower, (0.0, 0.0), (0.205, 0.15)) * open_
    s.body(hindwing, 0.78)
    s.body(forewing)
    s.part(circle(upper[0], upper[1], (0.10, 0.0), 0.062) * open_, CREAM)
    s.part(circle(lower[0], lower[1], (0.05, 0.0), s.fine(0.045)) * open_, CREAM)
    feelers = capsule(s.u.abs(), v, (0.01, -0.22), (0.10, -0.40), s.fine(0.018))
    s.part(union(capsule(s.u, v, (0.0, -0.20), (0.0, 0.24), s.fine(0.046)), feelers), INK)
