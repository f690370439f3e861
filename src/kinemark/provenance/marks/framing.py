"""A picture within a dark frame, such as bars around it or a screen that was filmed: where its corners are.

It gives the detector a few placements to try that do not depend on any mark, so that a mark on a filmed screen is
found by the law of a quick look rather than of a search.

Positions are (x, y) in units of the canonical plane, about the centre of the frame.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.provenance.marks.geometry import Geometry, homography, rectangle
from kinemark.provenance.marks.spectrum import canonical_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Values = NDArray[np.float64]

_STEP, _MOST_DARK = 8.0, 32.0
"""A pixel belongs to the picture if it is 8 steps above what is dark at the border, which is 32 at the most."""
_MIDDLE: Final = 0.85
"""Part of a side along which its edge is looked for: corners may be out of sight."""
_NEAR, _SHARE = 1.5, 0.6
"""An edge is straight if three fifths of its points lie within 1.5 units of a line."""
_LEAST_AREA: Final = 0.25
_ROUNDS: Final = 12


def placements(luma_hw: Array) -> tuple[Geometry, ...]:
    """Where a picture within a dark frame lies on its original: with the frame's aspect, and with its own.

    Empty where no four straight edges are seen, or where they are the frame's own.

    Args:
        luma_hw: the mean luma of a clip on the canonical plane, in 8-bit steps.
    """
    corner_42 = corners(luma_hw)
    if corner_42 is None:
        return ()
    rows, columns = luma_hw.shape
    across, down = (_length(corner_42, pairs) for pairs in (((0, 1), (3, 2)), ((0, 3), (1, 2))))
    own = canonical_size(round(1000 * down), round(1000 * across))
    return tuple(Geometry(homography(corner_42, rectangle(*size))) for size in dict.fromkeys(((rows, columns), own)))


def corners(luma_hw: Array) -> Values | None:
    """The corners (x, y) of the picture [4, 2], clockwise from the upper left; None where no frame is seen."""
    rows, columns = luma_hw.shape
    border = np.concatenate([luma_hw[0], luma_hw[-1], luma_hw[:, 0], luma_hw[:, -1]])
    bright = luma_hw > min(float(np.percentile(border, 25)), _MOST_DARK) + _STEP
    left, right, top, bottom = (_edge(lit) for lit in (bright, bright[:, ::-1], bright.T, bright.T[:, ::-1]))
    if left is None or right is None or top is None or bottom is None:
        return None
    right, bottom = -right, -bottom
    corner_42 = np.array(
        [_cross(side, level) for side, level in ((left, top), (right, top), (right, bottom), (left, bottom))]
    )
    x, y = corner_42.T
    area = 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    moved = np.abs(corner_42 - rectangle(rows, columns)).max()
    return corner_42 if area > _LEAST_AREA * rows * columns and moved > _NEAR else None


def _edge(bright_hw: NDArray[np.bool_]) -> Values | None:
    """The line x = a y + b along the first bright pixels of the rows, as (a, b); None if they lie on no line."""
    rows, columns = bright_hw.shape
    y = np.arange(rows) + 0.5 - rows / 2
    seen = bright_hw.any(axis=1) & (np.abs(y) < _MIDDLE * rows / 2)
    if np.count_nonzero(seen) < rows / 3:
        return None
    y, x = y[seen], bright_hw.argmax(axis=1)[seen] - columns / 2
    line = np.array([0.0, np.median(x)])
    for _ in range(_ROUNDS):
        # Weights of a redescending estimator: single dark or bright spots at the edge do not bend it.
        weight = 1 / np.maximum(np.abs(x - line[0] * y - line[1]), 0.7) ** 2
        line = np.linalg.lstsq(np.stack([y, np.ones_like(y)], axis=1) * weight[:, None], x * weight, rcond=None)[0]
    straight = np.mean(np.abs(x - line[0] * y - line[1]) < _NEAR)
    return np.asarray(line, np.float64) if straight >= _SHARE else None


def _cross(side: Values, level: Values) -> tuple[float, float]:
    """Where x = a y + b meets y = c x + d."""
    (a, b), (c, d) = side, level
    y = (c * b + d) / (1 - a * c)
    return float(a * y + b), float(y)


def _length(corner_42: Values, pairs: tuple[tuple[int, int], ...]) -> float:
    return sum(math.dist(corner_42[one], corner_42[other]) for one, other in pairs) / len(pairs)
