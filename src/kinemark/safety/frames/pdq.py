"""PDQ: a perceptual hash of pictures of 256 bits, as hash lists against abuse hold it.

Facebook's published algorithm (ThreatExchange, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing
algorithm", 2019): luminance, two passes of a box filter in each direction (Jarosz), 64 x 64 samples, the 16 x 16 lowest
frequencies of a discrete cosine transform but the constant, and for each bit whether it is above their median.

Shapes: H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

BYTES: Final = 32
#: Hashes with at most so many different bits are of the same picture, as the algorithm's authors advise.
ALIKE: Final = 31
#: A picture of less quality shows too little for its hash to mean anything.
MIN_QUALITY: Final = 50
_SIDE: Final = 64
_BITS: Final = 16


def pdq(frame_HWC: np.ndarray) -> tuple[bytes, int]:
    """The hash of a picture, 32 bytes, and its quality from 0 to 100.

    Args:
        frame_HWC: uint8 RGB.
    """
    luma_HW = frame_HWC.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    height, width = luma_HW.shape
    for _ in range(2):
        luma_HW = _box(_box(luma_HW, 1, -(-width // (2 * _SIDE))), 0, -(-height // (2 * _SIDE)))
    rows, columns = (((np.arange(_SIDE) + 0.5) * side / _SIDE).astype(int) for side in (height, width))
    cells = luma_HW[rows][:, columns].astype(np.float32)
    coefficients = _transform() @ cells @ _transform().T
    bits = (coefficients > np.median(coefficients)).ravel()
    return np.packbits(bits[::-1]).tobytes(), _quality(cells)


def _box(luma_HW: np.ndarray, axis: int, window: int) -> np.ndarray:
    """Means over a window along an axis; at the edges, of what there is of it."""
    count = luma_HW.shape[axis]
    sums = np.concatenate([np.zeros_like(luma_HW.take([0], axis)), luma_HW], axis).cumsum(axis, dtype=np.float64)
    stop = np.arange(count) + (window + 2) // 2
    start, stop = np.maximum(stop - window, 0), np.minimum(stop, count)
    inside = np.expand_dims(stop - start, 1 - axis)
    means: np.ndarray = (sums.take(stop, axis) - sums.take(start, axis)) / inside
    return means


def _quality(cells: np.ndarray) -> int:
    """How much the picture changes from cell to cell."""
    steps = [np.trunc(np.diff(cells, axis=axis) * 100 / 255) for axis in (0, 1)]
    return min(100, int(sum(np.abs(step).sum() for step in steps)) // 90)


@cache
def _transform() -> np.ndarray:
    """The cosines of frequencies 1 to 16 over 64 samples."""
    frequency = np.arange(1, _BITS + 1)[:, None]
    rows: np.ndarray = np.sqrt(2 / _SIDE) * np.cos(np.pi / (2 * _SIDE) * frequency * (2 * np.arange(_SIDE) + 1))
    return rows.astype(np.float32)
