"""Parts of files (RFC 9110, section 14): a single range of bytes; several at once are answered with the whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kinemark.server.problems import ProblemError

if TYPE_CHECKING:
    from starlette.requests import Request

_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


def asked_range(request: Request, size: int, etag: str) -> tuple[int, int, bool]:
    """Where the asked part of a file begins, where it ends (exclusive), and whether it is a part.

    Raises:
        ProblemError: 416 if the file has no such part.
    """
    header = request.headers.get("range")
    condition = request.headers.get("if-range")
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or (not found[1] and not found[2]) or (condition is not None and condition != etag):
        return 0, size, False
    if not found[1]:  # the last so many bytes
        start, stop = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        stop = min(size, int(found[2]) + 1) if found[2] else size
    if start >= stop:
        headers = {"Content-Range": f"bytes */{size}"}
        raise ProblemError(
            416, f"the file has {size} bytes; ask for a part of them", code="invalid_range", headers=headers
        )
    return start, stop, True
