"""Signed distances of plane figures: negative inside, zero on the edge, in the units of the coordinates given.

Coordinates are a pair (u, v) of tensors that broadcast; v points down. After I. Quilez, "2D distance functions",
https://iquilezles.org/articles/distfunctions2d/. Parameters may be numbers or tensors that broadcast.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

Number: TypeAlias = "float | Tensor"


def circle(u: Tensor, v: Tensor, centre: tuple[Number, Number], radius: Number) -> Tensor:
    """Distance to a disc."""
    du, dv = u - centre[0], v - centre[1]
    return (du * du + dv * dv).sqrt_() - radius


def ellipse(u: Tensor, v: Tensor, centre: tuple[Number, Number], radii: tuple[Number, Number]) -> Tensor:
    """Distance to an ellipse, to first order (exact on the edge)."""
    du, dv = (u - centre[0]) / radii[0], (v - centre[1]) / radii[1]
    norm = (du * du + dv * dv).sqrt_()
    du, dv = du / radii[0], dv / radii[1]
    gradient = (du * du + dv * dv).sqrt_()
    return norm * (norm - 1.0) / gradient.clamp_min_(1e-4)


def box(
    u: Tensor, v: Tensor, centre: tuple[Number, Number], half: tuple[Number, Number], corner: float = 0.0
) -> Tensor:
    """Distance to an upright rectangle with rounded corners of radius `corner`."""
    du = (u - centre[0]).abs() - half[0] + corner
    dv = (v - centre[1]).abs() - half[1] + corner
    outside = (du.clamp_min(0.0) ** 2 + dv.clamp_min(0.0) ** 2).sqrt_()
    return outside + torch.maximum(du, dv).clamp_max_(0.0) - corner


def capsule(u: Tensor, v: Tensor, start: tuple[Number, Number], end: tuple[Number, Number], radius: Number) -> Tensor:
    """Distance to a thick line with round ends."""
    return wedge(u, v, start, end, radius, radius)


def wedge(
    u: Tensor,
    v: Tensor,
    start: tuple[Number, Number],
    end: tuple[Number, Number],
    start_radius: Number,
    end_radius: Number,
) -> Tensor:
    """Distance to a thick line that tapers from one round end to the other (to first order in the taper)."""
    eu, ev = end[0] - start[0], end[1] - start[1]
    du, dv = u - start[0], v - start[1]
    along = (du * eu + dv * ev).div_(eu * eu + ev * ev).clamp_(0.0, 1.0)
    du, dv = du - along * eu, dv - along * ev
    away = (du * du + dv * dv).sqrt_() - start_radius
    return away if start_radius is end_radius else away + along * (start_radius - end_radius)


def convex(u: Tensor, v: Tensor, points: tuple[tuple[Number, Number], ...]) -> Tensor:
    """Distance to a convex polygon, corners clockwise as seen; a lower bound beyond its corners.

    The corners may be tensors (a beating wing), as long as the polygon stays convex; turning it inside out (a wing
    that passes the horizontal) is handled by the sign of its area.
    """
    area: Number = 0.0
    pairs = list(zip(points, points[1:] + points[:1], strict=True))
    for (au, av), (bu, bv) in pairs:
        area = area + au * bv - bu * av
    turn = torch.sign(area) if isinstance(area, torch.Tensor) else math.copysign(1.0, area)
    distance: Tensor | None = None
    for (au, av), (bu, bv) in pairs:
        eu, ev = bu - au, bv - av
        length = (eu * eu + ev * ev) ** 0.5
        side = ((u - au) * ev - (v - av) * eu) * (turn / length)
        distance = side if distance is None else torch.maximum(distance, side)
    assert distance is not None, "a polygon has at least three corners"
    return distance


def union(*distances: Tensor) -> Tensor:
    """The nearest of several figures."""
    nearest = distances[0]
    for distance in distances[1:]:
        nearest = torch.minimum(nearest, distance)
    return nearest


def turned(u: Tensor, v: Tensor, angle: Number) -> tuple[Tensor, Tensor]:
    """Coordinates in a frame that is turned clockwise (as seen) by `angle` radians."""
    if isinstance(angle, torch.Tensor):
        cos, sin = angle.cos(), angle.sin()
        return u * cos + v * sin, v * cos - u * sin
    return u * math.cos(angle) + v * math.sin(angle), v * math.cos(angle) - u * math.sin(angle)


def coverage(distance: Tensor, pixel: Number) -> Tensor:
    """The share of a pixel that lies inside: exact for a straight upright edge, within 4 % for a slanted one."""
    return (0.5 - distance / pixel).clamp_(0.0, 1.0)
