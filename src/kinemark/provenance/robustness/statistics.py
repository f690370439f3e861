"""Rates with their bounds, and how much a mark changes a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinemark.provenance.grid import LUMA, gaussian_matrix
from kinemark.shares import Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinemark.data.video import Frames


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of n trials, with the bounds of its 95 % interval and the share within the worst tenth of the clips."""

    n: int
    share: float
    low: float
    high: float
    worst: float

    @classmethod
    def of(cls, hits: Sequence[bool], clips: Sequence[int]) -> Rate:
        """From the outcome of each trial and the clip that it was made with; Wilson's interval (1927)."""
        n, share = len(hits), sum(hits) / len(hits)
        low, high = Share(sum(hits), n).interval
        by_clip: dict[int, list[bool]] = {}
        for hit, clip in zip(hits, clips, strict=True):
            by_clip.setdefault(clip, []).append(hit)
        shares = sorted(sum(of_clip) / len(of_clip) for of_clip in by_clip.values())
        tenth = shares[: max(1, round(len(shares) / 10))]
        return cls(n, share, low, high, sum(tenth) / len(tenth))


def psnr(one_THWC: Frames, other_THWC: Frames) -> NDArray[np.float64]:
    """Peak signal to noise ratio of the luma of every frame [T], in dB."""
    error = np.stack([np.mean(np.square(a @ LUMA - b @ LUMA)) for a, b in zip(one_THWC, other_THWC, strict=True)])
    return np.asarray(10 * np.log10(255**2 / np.maximum(error, 1e-9)), np.float64)


def ssim(one_HWC: Frames, other_HWC: Frames) -> float:
    """Structural similarity of the luma of two frames (Wang et al., 2004: Gaussian window of 1.5 pixels)."""
    height, width = one_HWC.shape[:2]
    down, across = gaussian_matrix(height, 1.5), gaussian_matrix(width, 1.5).T
    one, other = one_HWC @ LUMA, other_HWC @ LUMA

    def mean(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(down @ plane @ across, np.float32)

    m1, m2 = mean(one), mean(other)
    v1, v2, both = mean(one * one) - m1 * m1, mean(other * other) - m2 * m2, mean(one * other) - m1 * m2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(np.mean((2 * m1 * m2 + c1) * (2 * both + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))))


def flicker(plain_THWC: Frames, marked_THWC: Frames) -> float:
    """Root mean square change of the mark from one frame to the next, in 8-bit steps of luma averaged over 8 x 8 cells.

    A still mark flickers only by rounding and where its strength follows the picture; averaging over cells is what an
    eye does at a distance.
    """
    height, width = (side // 8 for side in plain_THWC.shape[1:3])
    mark = np.stack([b @ LUMA - a @ LUMA for a, b in zip(plain_THWC, marked_THWC, strict=True)])
    cells = mark[:, : height * 8, : width * 8].reshape(len(mark), height, 8, width, 8).mean(axis=(2, 4))
    return float(np.sqrt(np.mean(np.square(np.diff(cells, axis=0))))) if len(mark) > 1 else 0.0


def overlap(spans: Sequence[tuple[int, int]], truth: tuple[int, int]) -> float:
    """Intersection over union of found spans with the true one."""
    covered = sum(stop - start for start, stop in spans)
    common = sum(max(0, min(stop, truth[1]) - max(start, truth[0])) for start, stop in spans)
    return common / (covered + truth[1] - truth[0] - common)


def gamma_tail(value: float, mean: float, variance: float) -> float:
    """P(X >= value) of a gamma variable of this mean and variance (Wilson and Hilferty's approximation, 1931)."""
    shape = mean * mean / variance
    cube = (value / mean) ** (1 / 3)
    z = (cube - (1 - 1 / (9 * shape))) * 3 * math.sqrt(shape)
    return 0.5 * math.erfc(z / math.sqrt(2))
