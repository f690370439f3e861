"""Which frames have to be looked at: every one that is not next to the same as one that was.

Looking costs far more than comparing, and most frames of a video repeat their neighbour. What is new for a single frame
is new all the same, so nothing is shorter than what is looked for.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from typing import Final

import numpy as np

#: Cells across the longer side, over which differences are averaged.
_CELLS: Final = 48
#: A frame is new where a cell's mean differs by so many of 255 from the frame that was looked at last.
_NEW: Final = 10.0


def to_look_at(frames_THWC: np.ndarray, seen_HWC: np.ndarray | None = None) -> list[int]:
    """The frames that differ from the last of these before them, and the first.

    Args:
        frames_THWC: uint8 RGB, at least one frame.
        seen_HWC: the frame before them that was looked at last, if there is one; the first counts like any other then.
    """
    side = max(1, max(frames_THWC.shape[1:3]) // _CELLS)
    chosen: list[int] = []
    last = None if seen_HWC is None else _cells(seen_HWC, side)
    for index, frame_HWC in enumerate(frames_THWC):
        cells = _cells(frame_HWC, side)
        if last is None or np.abs(cells - last).max() >= _NEW:
            chosen.append(index)
            last = cells
    return chosen


def _cells(frame_HWC: np.ndarray, side: int) -> np.ndarray:
    height, width = (max(1, length // side) for length in frame_HWC.shape[:2])
    side_y, side_x = min(side, frame_HWC.shape[0]), min(side, frame_HWC.shape[1])
    cut = frame_HWC[: height * side_y, : width * side_x].astype(np.float32)
    means: np.ndarray = cut.reshape(height, side_y, width, side_x, -1).mean(axis=(1, 3))
    return means
