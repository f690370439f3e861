"""Does footage look like the clip whose mark it carries? A mark can be copied; what it was copied onto cannot hide.

The ledger keeps, for up to 32 frames of a release, one bit for each of 24 x 24 cells: whether the cell is lighter or
darker than its four neighbours. What is seen is first put back onto the original's plane, with the geometry that the
watermark's pilot gave away, so a crop, a turn or a mirrored copy is compared where it belongs; cells that are not seen
do not count. The agreement of a frame is the share of its detail, weighted by strength, whose sign fits the best of the
stored frames: about 0.5 for other footage, near 1 for the clip itself, whatever tone, codec or speed it came through.

Shapes: T frames, H W size in pixels, C = 24 cells a side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinemark.provenance.grid import LUMA, area_matrix, spread
from kinemark.provenance.marks.geometry import IDENTITY, undo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames
    from kinemark.provenance.marks.geometry import Geometry

CELLS: Final = 24
MAX_FRAMES: Final = 32
CONFIRMED: Final = 0.78
"""Agreement from which the footage is called the clip."""
CONTRADICTED: Final = 0.72
"""Agreement up to which it is called other footage."""
_LEAST_CELLS: Final = 0.25
"""Share of the original that has to be seen before anything is said."""


def describe(frames_THWC: Frames) -> bytes:
    """The bits of up to 32 evenly spaced frames, 72 bytes each."""
    chosen = spread(0, len(frames_THWC), MAX_FRAMES)
    return b"".join(np.packbits(_detail(frames_THWC[index] @ LUMA) > 0).tobytes() for index in chosen)


def agreement(
    frames_THWC: Frames, stored: bytes, size: tuple[int, int], placement: Geometry = IDENTITY
) -> NDArray[np.float64]:
    """How well each frame fits the best of the stored ones [T], in 0..1; not a number where too little is seen.

    Args:
        frames_THWC: what is seen.
        stored: what `describe` said of the original.
        size: height and width of the original, in pixels.
        placement: how what is seen lies on the original.
    """
    straight_Thw, inside_hw = undo(frames_THWC @ LUMA, placement, size)
    seen = _cells(inside_hw.astype(np.float32)) > 0.99
    # A cell's detail needs its neighbours, so the rim of what is seen does not count.
    seen &= np.all(_neighbours(seen), axis=0)
    if seen.mean() < _LEAST_CELLS:
        return np.full(len(frames_THWC), np.nan)
    bits = np.unpackbits(np.frombuffer(stored, np.uint8)).reshape(-1, CELLS, CELLS)
    signs = (2.0 * bits - 1.0)[:, seen]
    values = np.stack([_detail(plane)[seen] for plane in straight_Thw])
    weights = np.abs(values)
    fit = 0.5 + 0.5 * (values @ signs.T) / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    return np.asarray(fit.max(axis=1), np.float64)


def _detail(luma_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each cell's mean luma less that of its four neighbours [C, C]; large contrasts are compressed."""
    cells = _cells(luma_HW)
    difference = cells - sum(_neighbours(cells)) / 4
    return np.asarray(np.sign(difference) * np.sqrt(np.abs(difference)), np.float32)


def _neighbours(cells_CC: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """The cells above, below, left and right of each [C, C]; at the border the cell itself."""
    around = np.pad(cells_CC, 1, mode="edge")
    return around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]


def _cells(plane_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = plane_HW.shape
    return np.asarray(area_matrix(CELLS, height) @ plane_HW @ area_matrix(CELLS, width).T, np.float32)
