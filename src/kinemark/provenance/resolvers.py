"""Asking other operators for the credentials of a clip that lost them: their resolution services, by ISCC code.

Only the code leaves this machine (256 bits that say what the clip looks like), and only where a person asks for it.
What comes back is believed as far as its own signature goes, and only if its own code is near what is seen here.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from kinemark.errors import FailureError
from kinemark.provenance.fingerprints import iscc
from kinemark.provenance.signing.credentials import read_detached

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kinemark.provenance.footage import Footage
    from kinemark.provenance.signing.anchors import Anchor
    from kinemark.provenance.signing.credentials import Credentials

TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 4 << 20
MOST: Final = 5


def resolve(path: Path, footage: Footage, resolver: str, anchors: Sequence[Anchor]) -> Credentials | None:
    """What one operator's service knows of a clip; None where that is nothing.

    Args:
        path: the file, whose own manifest was lost.
        footage: what is seen in it.
        resolver: address of the service.
        anchors: whom to believe.

    Raises:
        FailureError: the service does not answer, or not as it should; or no code can be computed here.
    """
    code = iscc.video_code(footage.frames, footage.fps) if footage.is_video else None
    if code is None:
        raise FailureError(
            "no ISCC code can be computed: the file is no video, or the ffmpeg program with its filter `signature` is "
            "missing; install ffmpeg"
        )
    question = urlencode({"alg": iscc.ISCC_ALGORITHM, "value": base64.b64encode(code.encode()), "maxResults": MOST})
    try:
        matches = json.loads(_get(f"{resolver}/matches/byBinding?{question}"))["matches"]
        labels = [str(match["manifestId"]) for match in matches[:MOST]]
    except (ValueError, KeyError, TypeError) as error:
        raise FailureError(f"{resolver} does not answer as a resolution service does ({error})") from error
    for label in labels:
        found = read_detached(path, _get(f"{resolver}/manifests/{quote(label, safe='')}"), anchors)
        near = iscc.distance(code, found.iscc) if found.iscc else None
        if found.state == "trusted" and found.label == label and near is not None and near <= iscc.MATCH:
            return found
    return None


def _get(address: str) -> bytes:
    try:
        with _opener.open(address, timeout=TIMEOUT) as answer:
            content: bytes = answer.read(MAX_ANSWER + 1)
    except (OSError, urllib.error.HTTPError, ValueError) as error:
        raise FailureError(
            f"{address.split('?')[0]} does not answer: {error}; try again, or leave out --resolve"
        ) from error
    if len(content) > MAX_ANSWER:
        raise FailureError(f"{address.split('?')[0]} answered with more than {MAX_ANSWER} bytes")
    return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address was agreed on; nobody sends this machine elsewhere."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401
        return None


_opener = urllib.request.build_opener(_NoRedirect)
