"""The boxes of an MP4 file (ISO/IEC 14496-12, 4.2), as its bytes say they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Box(NamedTuple):
    """A box of the outermost level: its type, where it starts, and its length as it says, in bytes."""

    kind: bytes
    start: int
    length: int


def outermost_boxes(path: Path) -> Iterator[Box]:
    """The boxes of a file in order, the last of which may run past its end.

    A length below 8 cannot be; such a box is the last one.
    """
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        while start + 8 <= size:
            file.seek(start)
            head = file.read(16)
            length = int.from_bytes(head[:4])
            # 0: to the end of the file; 1: the length follows in 64 bits.
            length = {0: size - start, 1: int.from_bytes(head[8:16])}.get(length, length)
            yield Box(head[4:8], start, length)
            if length < 8:
                return
            start += length
