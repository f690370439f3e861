"""Flashes that can set off a seizure: WCAG 2.2, success criterion 2.3.1 (three flashes or below threshold).

A general flash is a pair of opposing changes in relative luminance of at least a tenth of the maximum, where the darker
of the two is below 0.8; a red flash is such a pair to or from a saturated red. More than three of them within any
second, over at least a quarter of any ten degrees of the visual field, are too many. Full screen, ten degrees are a
third of a picture's width and of its height; a clip may be watched full screen, so that is what is looked at.

Shapes: T frames, Y and X cells of a coarse grid, C colour channels.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from kinemark.safety.decision import Judgement

GATE: Final = "flash"
RULE: Final = "flash-wcag-2.3.1"

MIN_CHANGE: Final = 0.1
MAX_DARKER: Final = 0.8
#: (R - G - B) * 320 must change by more than 20, in the working definition of a red flash (WCAG 2.2, note 2).
RED_SCALE: Final = 320.0
MIN_RED_CHANGE: Final = 20.0
SATURATED: Final = 0.8
MAX_FLASHES: Final = 3
MIN_AREA: Final = 0.25

#: Cells across and down; the window of ten degrees is a third of that.
GRID: Final = 24
WINDOW: Final = GRID // 3


def judge_flash(frames_THWC: np.ndarray, fps: float) -> Judgement:
    """Refuse a clip that flashes more than three times in any second, in white light or in red.

    Args:
        frames_THWC: uint8 RGB.
        fps: frames a second, at least 1.

    Raises:
        ValueError: `fps` is not a positive number.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be a positive number, not {fps}")
    linear_TYXC = _cells(frames_THWC)
    flashes, second = _worst(general_changes(linear_TYXC), fps)
    red_flashes, red_second = _worst(red_changes(linear_TYXC), fps)
    if max(flashes, red_flashes) <= MAX_FLASHES:
        return Judgement(GATE, "output", "allow", None, RULE, "No part flashes more than three times in any second.")
    kind, at = ("red flashes", red_second) if red_flashes > flashes else ("flashes", second)
    reason = (
        f"The clip has more than {MAX_FLASHES} {kind} in the second from {at:.1f} s, which can set off seizures. "
        "Ask for slower or softer light."
    )
    return Judgement(GATE, "output", "refuse", "photosensitive", RULE, reason)


def _cells(frames_THWC: np.ndarray) -> np.ndarray:
    """Linear RGB in 0..1, averaged over a grid of about `GRID` x `GRID` cells: small sparkles are no flashes."""
    table = _linear(np.arange(256, dtype=np.float32) / 255)
    rows = np.linspace(0, frames_THWC.shape[1], min(GRID, frames_THWC.shape[1]) + 1).astype(int)
    columns = np.linspace(0, frames_THWC.shape[2], min(GRID, frames_THWC.shape[2]) + 1).astype(int)
    area_YX1 = np.outer(np.diff(rows), np.diff(columns))[..., None]
    cells = []
    for frame_HWC in frames_THWC:
        sums = np.add.reduceat(np.add.reduceat(table[frame_HWC], rows[:-1], axis=0), columns[:-1], axis=1)
        cells.append(sums / area_YX1)
    return np.stack(cells)


def _linear(srgb: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1: sRGB to linear light."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def general_changes(linear_TYXC: np.ndarray) -> np.ndarray:
    """Where (bool, TYX) a cell's relative luminance ends an opposing change of at least 0.1 with a darker end < 0.8."""
    luminance_TYX = linear_TYXC @ np.array([0.2126, 0.7152, 0.0722], dtype=linear_TYXC.dtype)
    eligible_TYX = np.ones(luminance_TYX.shape, dtype=bool)
    return _opposing(luminance_TYX, eligible_TYX, MIN_CHANGE, MAX_DARKER)


def red_changes(linear_TYXC: np.ndarray) -> np.ndarray:
    """Where (bool, TYX) a cell changes to or from a saturated red, as the working definition of a red flash says."""
    red, green, blue = np.moveaxis(linear_TYXC, -1, 0)
    redness_TYX = np.maximum(red - green - blue, 0) * RED_SCALE
    saturated_TYX = red >= SATURATED * np.maximum(red + green + blue, 1e-6)
    return _opposing(redness_TYX, saturated_TYX, MIN_RED_CHANGE, math.inf)


def _opposing(level_TYX: np.ndarray, eligible_TYX: np.ndarray, least: float, darkest: float) -> np.ndarray:
    """Follow each cell from extremum to extremum and mark the frame in which a change first reaches `least`.

    A slow rise is one change however many frames it takes, and the way back is another. `eligible_TYX` must hold at the
    higher end of a change; `darkest` bounds the lower end.
    """
    shape = level_TYX.shape[1:]
    low, high = level_TYX[0].copy(), level_TYX[0].copy()
    high_ok = eligible_TYX[0].copy()
    direction = np.zeros(shape, dtype=np.int8)
    marks_TYX = np.zeros(level_TYX.shape, dtype=bool)
    for index in range(1, len(level_TYX)):
        level, eligible = level_TYX[index], eligible_TYX[index]
        rising = (level - low >= least) & (low < darkest) & eligible & (direction <= 0)
        falling = (high - level >= least) & (level < darkest) & high_ok & (direction >= 0) & ~rising
        marks_TYX[index] = rising | falling
        direction = np.where(rising, 1, np.where(falling, -1, direction)).astype(np.int8)
        # After a change the run goes on from its newest end; before it, both ends are remembered.
        fresh_high = rising | (level >= high)
        high_ok = np.where(fresh_high, eligible, high_ok)
        high = np.where(fresh_high | falling, level, high)
        low = np.where(falling | (level <= low) | rising, level, low)
    return marks_TYX


def _worst(marks_TYX: np.ndarray, fps: float) -> tuple[float, float]:
    """Most flashes (pairs of changes) in any second and window of ten degrees, and when that second begins.

    Half a flash counts as half: seven changes in a second are more than three flashes.
    """
    span = math.ceil(fps)
    totals_TYX = np.concatenate(
        [np.zeros_like(marks_TYX[:1], dtype=np.int32), marks_TYX.cumsum(axis=0, dtype=np.int32)]
    )
    worst, when = 0.0, 0
    for start in range(max(len(marks_TYX) - span, 0) + 1):
        changes_YX = totals_TYX[min(start + span, len(marks_TYX))] - totals_TYX[start]
        flashes = _over_a_quarter(changes_YX) / 2
        if flashes > worst:
            worst, when = flashes, start
    return worst, when / fps


def _over_a_quarter(changes_YX: np.ndarray) -> int:
    """The highest number of changes that a quarter of some window reaches."""
    windows = np.lib.stride_tricks.sliding_window_view(
        changes_YX, (min(WINDOW, changes_YX.shape[0]), min(WINDOW, changes_YX.shape[1]))
    )
    flat = np.sort(windows.reshape(*windows.shape[:2], -1), axis=-1)
    needed = math.ceil(MIN_AREA * flat.shape[-1])
    return int(flat[..., -needed].max())
