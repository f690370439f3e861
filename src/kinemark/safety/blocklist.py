"""Block lists: digests of files and hashes of pictures that an operator was given, and that nothing is made from.

A list is text, a hash a line, as hotlines and platforms share them: `md5:`, `sha1:`, `sha256:` (of a whole file) or
`pdq:` (of a picture) before hexadecimal digits; of the first two kinds the length says enough. What is kept is sorted
binary files, one a kind, which are searched where they lie: a million hashes need no memory of their own.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import FailureError, RequestError
from kinemark.safety.frames.changes import to_look_at
from kinemark.safety.frames.pdq import ALIKE, BYTES, MIN_QUALITY, pdq

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

#: Bytes of a hash of each kind.
KINDS: Final = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": BYTES}
_BY_LENGTH: Final = {32: "md5", 40: "sha1"}
_CHUNK: Final = 1 << 16


class Blocklist:
    """The block lists of one installation.

    Args:
        folder: made when the first list is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, lines: Iterable[str]) -> dict[str, int]:
        """Add hashes; how many of each kind were new.

        Args:
            lines: of a list; empty ones and those that begin with # are passed over.

        Raises:
            RequestError: a line is no hash; nothing is added then.
            FailureError: the folder cannot be written.
        """
        found: dict[str, list[bytes]] = {kind: [] for kind in KINDS}
        for number, line in enumerate(lines, 1):
            if (said := line.strip()) and not said.startswith("#"):
                kind, value = _parsed(said, number)
                found[kind].append(value)
        return {kind: self._merge(kind, b"".join(values)) for kind, values in found.items() if values}

    def counts(self) -> dict[str, int]:
        """How many hashes of each kind there are."""
        return {kind: len(self._rows(kind)) for kind in KINDS}

    def blocks_file(self, path: Path) -> bool:
        """Whether a file's digest is listed.

        Raises:
            FailureError: the file or a list cannot be read.
        """
        try:
            for kind in ("md5", "sha1", "sha256"):
                if len(rows := self._rows(kind)):
                    with path.open("rb") as file:
                        # MD5 and SHA-1 are what the lists hold; nothing is trusted because of them.
                        digest = hashlib.file_digest(file, partial(hashlib.new, kind, usedforsecurity=False))
                    if _holds(rows, digest.digest()):
                        return True
        except OSError as error:
            raise FailureError(f"{path} cannot be compared with the block lists: {error.strerror}") from error
        return False

    def blocks_frames(self, frames_THWC: NDArray[np.uint8]) -> int | None:
        """The first frame that looks like a listed picture; None if there is none.

        Args:
            frames_THWC: uint8 RGB.
        """
        words = self._rows("pdq").view(np.uint64).reshape(-1, BYTES // 8)
        if not len(words):
            return None
        for frame in to_look_at(frames_THWC):
            value, quality = pdq(frames_THWC[frame])
            if quality >= MIN_QUALITY and _near(words, np.frombuffer(value, np.uint64)):
                return frame
        return None

    def _rows(self, kind: str) -> NDArray[np.uint8]:
        path, length = self._folder / f"{kind}.bin", KINDS[kind]
        if not path.is_file() or not path.stat().st_size:
            return np.empty((0, length), np.uint8)
        if path.stat().st_size % length:
            raise FailureError(f"the block list {path} is damaged; remove it and add its lists again")
        return np.memmap(path, np.uint8, "r").reshape(-1, length)

    def _merge(self, kind: str, new: bytes) -> int:
        length, old = KINDS[kind], self._rows(kind)
        rows = np.concatenate([old, np.frombuffer(new, np.uint8).reshape(-1, length)])
        merged = np.unique(np.ascontiguousarray(rows).view(f"V{length}"))
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(descriptor, "wb") as file:
                file.write(merged.tobytes())
            Path(name).replace(self._folder / f"{kind}.bin")
        except OSError as error:
            raise FailureError(f"cannot write the block list in {self._folder}: {error.strerror}") from error
        return len(merged) - len(old)


def _parsed(line: str, number: int) -> tuple[str, bytes]:
    named, _, digits = line.rpartition(":")
    kind = named.lower() or _BY_LENGTH.get(len(digits), "")
    try:
        value = bytes.fromhex(digits)
    except ValueError:
        value = b""
    if kind not in KINDS or len(value) != KINDS[kind]:
        kinds = ", ".join(f"{kind}: and {2 * length} digits" for kind, length in KINDS.items())
        raise RequestError(f"line {number} is {line[:80]!r}, which is no hash; write {kinds}")
    return kind, value


def _holds(rows: NDArray[np.uint8], value: bytes) -> bool:
    """Whether sorted rows hold a value."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        row = rows[middle].tobytes()
        if row == value:
            return True
        low, high = (middle + 1, high) if row < value else (low, middle)
    return False


def _near(words: NDArray[np.uint64], value: NDArray[np.uint64]) -> bool:
    for start in range(0, len(words), _CHUNK):
        apart = np.bitwise_count(words[start : start + _CHUNK] ^ value).sum(axis=1)
        if (apart <= ALIKE).any():
            return True
    return False
