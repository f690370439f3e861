"""Is this a picture at all? Frames that are empty or noise mean that something broke, and are not released.

Shapes: T frames, H height, W width, C colour channels (RGB).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kinemark.safety.decision import Judgement

GATE: Final = "decode"
RULE: Final = "decode-sanity"

#: A frame whose brightest and darkest values (99th and 1st percentile, of 255) are closer than this shows nothing.
MIN_CONTRAST: Final = 6.0
#: Von Neumann's ratio: mean squared difference of neighbours over twice the variance. White noise has 1, pictures have
#: less than a half.
MAX_ROUGHNESS: Final = 0.75
#: Scales at which noise is looked for: a decoder turns noise in its latents into blotches, not into single pixels.
SCALES: Final = (1, 2, 4, 8)
MIN_SIDE: Final = 16
#: With fewer cells than this across, a picture is nothing but edges and looks rough.
MIN_CELLS: Final = 24


def judge_decode(frames_THWC: np.ndarray) -> Judgement:
    """Every frame must be an RGB picture with something to see in it.

    Args:
        frames_THWC: the frames that are to leave; anything but uint8 with three channels is refused, so that values
            that are not numbers cannot slip through.
    """
    problem = _shape_problem(frames_THWC)
    if problem is None:
        for index, frame_HWC in enumerate(frames_THWC):
            problem = _frame_problem(frame_HWC)
            if problem is not None:
                problem = f"frame {index} {problem}"
                break
    if problem is None:
        return Judgement(GATE, "output", "allow", None, RULE, "Every frame is a picture.")
    reason = f"The model's output is broken: {problem}. Try another seed; if it happens again, please report it."
    return Judgement(GATE, "output", "refuse", None, RULE, reason)


def _shape_problem(frames_THWC: np.ndarray) -> str | None:
    if frames_THWC.dtype != np.uint8:
        return f"its values are {frames_THWC.dtype}, not uint8"
    if frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3:
        return f"its shape is {frames_THWC.shape}, not (frames, height, width, 3)"
    if not frames_THWC.shape[0] or min(frames_THWC.shape[1:3]) < MIN_SIDE:
        return f"its shape is {frames_THWC.shape}: it needs a frame, and sides of at least {MIN_SIDE}"
    return None


def _frame_problem(frame_HWC: np.ndarray) -> str | None:
    grey_HW = frame_HWC.astype(np.float32).mean(axis=-1)
    low, high = np.percentile(grey_HW, (1, 99))
    if high - low < MIN_CONTRAST and np.ptp(frame_HWC, axis=(0, 1)).max() < 4 * MIN_CONTRAST:
        return "is empty"
    for scale in SCALES:
        small_HW = _area_down(grey_HW, scale)
        if min(small_HW.shape) >= MIN_CELLS and _roughness(small_HW) > MAX_ROUGHNESS:
            return "is noise"
    return None


def _area_down(grey_HW: np.ndarray, scale: int) -> np.ndarray:
    height, width = (side // scale for side in grey_HW.shape)
    blocks = grey_HW[: height * scale, : width * scale].reshape(height, scale, width, scale)
    means: np.ndarray = blocks.mean(axis=(1, 3))
    return means


def _roughness(grey_HW: np.ndarray) -> float:
    """Von Neumann's ratio (1941), over both axes; 0 for a flat picture."""
    variance = float(grey_HW.var())
    if variance < 1.0:
        return 0.0
    steps = np.square(np.diff(grey_HW, axis=0)).mean() + np.square(np.diff(grey_HW, axis=1)).mean()
    return float(steps) / (4 * variance)
