"""A fingerprint of what a clip looks like: found again after re-encoding, scaling, brightness and other frame rates.

Clip hash (256 bits): the clip is cut into four quarters of equal duration; of each quarter's mean picture, on a 32 x 32
luma grid, the 64 lowest DCT frequencies without the constant give one bit each: above or below their median. Frame
hashes (64 bits each) do the same for up to 32 evenly spaced frames. The idea is that of pHash and PDQ (Facebook, The
TMK+PDQF Video-Hashing Algorithm, 2019); time enters as a share of the duration, so speed does not matter.

A fingerprint is not evidence on its own: footage that was given to the model looks like what came out. It does not
survive mirroring or heavy cropping.

Shapes: T frames, H height, W width, S = 32 cells a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinemark.errors import RequestError
from kinemark.provenance.grid import LUMA, area_matrix, dct_matrix, radius, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames

CELLS = 32
QUARTERS = 4
BITS = 64
"""Bits of one picture; a clip has four times as many."""
MAX_FRAMES = 32

_ONES = np.array([byte.bit_count() for byte in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`clip` is 32 bytes; `frames` is 8 bytes for each of up to 32 frames, evenly spaced in time."""

    clip: bytes
    frames: bytes


def fingerprint(frames_THWC: Frames) -> Fingerprint:
    """Compute the fingerprint of a clip of any size and length.

    Raises:
        RequestError: the frames are not uint8 [T, H, W, 3] with T >= 1.
    """
    if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or not len(frames_THWC):
        raise RequestError(
            f"frames are {frames_THWC.dtype} {frames_THWC.shape}; a fingerprint needs uint8 [T, H, W, 3]."
        )
    height, width = frames_THWC.shape[1:3]
    down_h, down_w = area_matrix(CELLS, height), area_matrix(CELLS, width).T
    luma_TSS = np.stack([down_h @ (frame_HWC @ LUMA) @ down_w for frame_HWC in frames_THWC])
    count = len(luma_TSS)
    quarters = area_matrix(QUARTERS, count) @ luma_TSS.reshape(count, -1)
    chosen = spread(0, count, MAX_FRAMES)
    return Fingerprint(
        clip=b"".join(_hash(picture.reshape(CELLS, CELLS)) for picture in quarters),
        frames=b"".join(_hash(picture) for picture in luma_TSS[chosen]),
    )


def distance(one: bytes, other: bytes) -> int:
    """Number of differing bits (Hamming distance) of two hashes of equal length: 0 to 256 for clip hashes."""
    return int(distances(one, np.frombuffer(other, np.uint8)[None])[0])


def distances(one: bytes, others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Hamming distances of one hash to many [N, bytes]."""
    different = np.bitwise_xor(np.frombuffer(one, np.uint8)[None], others)
    return np.asarray(_ONES[different].sum(axis=1), np.int64)


def _hash(picture_SS: NDArray[np.float32]) -> bytes:
    basis = dct_matrix(CELLS, CELLS)
    spectrum = (basis @ picture_SS @ basis.T).ravel()
    lowest = np.argsort(radius(CELLS).ravel(), kind="stable")[1 : BITS + 1]
    value = spectrum[lowest]
    return np.packbits(value > np.median(value)).tobytes()
