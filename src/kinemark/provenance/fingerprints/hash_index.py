"""Nearest hashes among millions, exactly: multi-index hashing (Norouzi, Punjani and Fleet, CVPR 2012).

Two hashes of 256 bits that differ in at most 31 share, among their sixteen pieces of 16 bits, one that differs in at
most one bit. So every hash is filed sixteen times, once under each of its pieces; a question looks under the 17 values
near each of its own pieces, and compares the hashes that lie there in full. Nothing within the radius is missed.

Shapes: N hashes of 32 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinemark.provenance.fingerprints.fingerprint import HASH, distances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RADIUS: Final = 31
"""Differing bits up to which everything is found."""
PIECES: Final = HASH // 2
_NEAR: Final = np.array([0, *(1 << bit for bit in range(16))], np.uint16)
_FILES: Final = ("hashes", "owners", "order", "starts")


class HashIndex:
    """An index that is made once and does not change; its arrays may lie in memory or in files."""

    def __init__(
        self,
        hashes_N32: NDArray[np.uint8],
        owners_N: NDArray[np.int64],
        order_PN: NDArray[np.uint32],
        starts_PK: NDArray[np.uint32],
    ) -> None:
        self._hashes, self._owners, self._order, self._starts = hashes_N32, owners_N, order_PN, starts_PK

    @classmethod
    def build(cls, hashes_N32: NDArray[np.uint8], owners_N: NDArray[np.int64]) -> HashIndex:
        """File hashes, each with the number of its owner: about 100 bytes of memory for each."""
        count = len(hashes_N32)
        pieces_NP = np.ascontiguousarray(hashes_N32).reshape(count, HASH).view(">u2").astype(np.uint16)
        order_PN = np.empty((PIECES, count), np.uint32)
        starts_PK = np.zeros((PIECES, (1 << 16) + 1), np.uint32)
        for piece in range(PIECES):
            order_PN[piece] = np.argsort(pieces_NP[:, piece], kind="stable")
            np.cumsum(np.bincount(pieces_NP[:, piece], minlength=1 << 16), out=starts_PK[piece, 1:])
        return cls(hashes_N32, owners_N, order_PN, starts_PK)

    def __len__(self) -> int:
        return len(self._hashes)

    def near(self, query: bytes, radius: int = RADIUS) -> list[tuple[int, int]]:
        """(differing bits, owner) of every hash within `radius` (at most 31), the nearest first."""
        if radius > RADIUS:
            raise ValueError(f"the radius is {radius}; this index is exact up to {RADIUS}")
        pieces = np.frombuffer(query, ">u2").astype(np.uint16)
        found = []
        for piece, value in enumerate(pieces):
            keys = value ^ _NEAR
            starts = self._starts[piece]
            found += [self._order[piece, starts[key] : starts[int(key) + 1]] for key in keys]
        rows = np.unique(np.concatenate(found))
        bits = distances(query, self._hashes[rows])
        within = np.flatnonzero(bits <= radius)
        return sorted((int(bits[i]), int(self._owners[rows[i]])) for i in within)

    def save(self, folder: Path) -> None:
        """Write the arrays to a folder that exists."""
        arrays: tuple[NDArray[Any], ...] = (self._hashes, self._owners, self._order, self._starts)
        for name, array in zip(_FILES, arrays, strict=True):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> HashIndex:
        """Use the arrays where they lie.

        Raises:
            OSError, ValueError: they are not there, or damaged.
        """
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in _FILES]
        hashes, owners, order, starts = arrays
        count = len(hashes)
        shapes = [(count, HASH), (count,), (PIECES, count), (PIECES, (1 << 16) + 1)]
        if [array.shape for array in arrays] != shapes:
            raise ValueError("the arrays of the index do not fit together")
        return cls(hashes, owners, order, starts)


def nearest_of(query: bytes, hashes: Sequence[tuple[int, bytes]]) -> list[tuple[int, int]]:
    """(differing bits, owner) for a few hashes that are filed nowhere: all of them, one for each clip hash."""
    owners = [owner for owner, blob in hashes for _ in range(len(blob) // HASH)]
    if not owners:
        return []
    bits = distances(query, np.frombuffer(b"".join(blob for _, blob in hashes), np.uint8).reshape(-1, HASH))
    return [(int(bit), owner) for bit, owner in zip(bits, owners, strict=True)]
