"""A fingerprint of what a clip looks like: found again after re-encoding, scaling, mirroring, light cropping.

A clip hash has 256 bits: the clip is cut into four quarters of equal duration; of each quarter's mean picture, on a
32 x 32 luma grid, the 64 lowest DCT frequencies without the constant give one bit each: above or below their median.
The idea is that of pHash and PDQ (Facebook, The TMK+PDQF Video-Hashing Algorithm, 2019); time enters as a share of the
duration, so speed does not matter. A release keeps eight of them: of the whole picture, and of seven parts of it, since
a cropped copy shows about one of these. Mirrored copies are found by asking for the mirrored hash, too.

A fingerprint is not evidence on its own: footage that was given to the model looks like what came out.

Shapes: T frames, H height, W width, S = 32 cells a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import RequestError
from kinemark.provenance.grid import LUMA, area_matrix, dct_matrix, radius

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames

CELLS: Final = 32
QUARTERS: Final = 4
BITS: Final = 64
"""Bits of one picture; a clip has four times as many."""
HASH: Final = 32
"""Bytes of a clip hash."""
VIEWS: Final = (
    (0.0, 0.0, 1.0, 1.0),
    (0.05, 0.05, 0.95, 0.95),
    (0.1, 0.1, 0.9, 0.9),
    (0.15, 0.15, 0.85, 0.85),
    (0.0, 0.0, 0.8, 0.8),
    (0.0, 0.2, 0.8, 1.0),
    (0.2, 0.0, 1.0, 0.8),
    (0.2, 0.2, 1.0, 1.0),
)
"""Parts of the picture that a release keeps a hash of: top, left, bottom, right as shares; the whole comes first."""

_ONES = np.array([byte.bit_count() for byte in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Clip hashes, 32 bytes each: `views` of the eight parts one after another, `mirrored` of the mirrored whole."""

    views: bytes
    mirrored: bytes

    @property
    def clip(self) -> bytes:
        """The clip hash of the whole picture."""
        return self.views[:HASH]


def fingerprint(frames_THWC: Frames) -> Fingerprint:
    """Compute the fingerprint of a clip of any size and length.

    Raises:
        RequestError: the frames are not uint8 [T, H, W, 3] with T >= 1.
    """
    if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or not len(frames_THWC):
        raise RequestError(
            f"frames are {frames_THWC.dtype} {frames_THWC.shape}; a fingerprint needs uint8 [T, H, W, 3]."
        )
    count, height, width = frames_THWC.shape[:3]
    weights_QT = area_matrix(QUARTERS, count)
    quarters_QHW = np.zeros((QUARTERS, height, width), np.float32)
    for index, frame_HWC in enumerate(frames_THWC):
        used = np.flatnonzero(weights_QT[:, index])
        quarters_QHW[used] += weights_QT[used, index, None, None] * (frame_HWC @ LUMA)
    return Fingerprint(
        views=b"".join(_clip_hash(quarters_QHW, view) for view in VIEWS),
        mirrored=_clip_hash(quarters_QHW[:, :, ::-1], VIEWS[0]),
    )


def distance(one: bytes, other: bytes) -> int:
    """Number of differing bits (Hamming distance) of two hashes of equal length: 0 to 256 for clip hashes."""
    return int(distances(one, np.frombuffer(other, np.uint8)[None])[0])


def distances(one: bytes, others: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Hamming distances of one hash to many [N, bytes]."""
    different = np.bitwise_xor(np.frombuffer(one, np.uint8)[None], others)
    return np.asarray(_ONES[different].sum(axis=1), np.int64)


def _clip_hash(quarters_QHW: NDArray[np.float32], view: tuple[float, float, float, float]) -> bytes:
    """The hash of one part of the quarters' mean pictures."""
    height, width = quarters_QHW.shape[1:]
    top, bottom = round(view[0] * height), max(round(view[0] * height) + 1, round(view[2] * height))
    left, right = round(view[1] * width), max(round(view[1] * width) + 1, round(view[3] * width))
    down, across = area_matrix(CELLS, bottom - top), area_matrix(CELLS, right - left).T
    return b"".join(_hash(down @ picture[top:bottom, left:right] @ across) for picture in quarters_QHW)


def _hash(picture_SS: NDArray[np.float32]) -> bytes:
    basis = dct_matrix(CELLS, CELLS)
    spectrum = (basis @ picture_SS @ basis.T).ravel()
    lowest = np.argsort(radius(CELLS).ravel(), kind="stable")[1 : BITS + 1]
    value = spectrum[lowest]
    return np.packbits(value > np.median(value)).tobytes()
