"""What the applications answer alike: questions that are no JSON or too long, too many of them, and errors."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ExceptionHandler

    from kinemark.server.limits import Allowance, Limits

MAX_QUESTION: Final = 64 << 10


async def json_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        HTTPException: 413 if it is longer than 64 KiB, 400 if it is no JSON object.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_QUESTION:
            raise HTTPException(413, f"the question is longer than {MAX_QUESTION} bytes")
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the body is no JSON ({error})") from error
    if not isinstance(asked, dict):
        raise HTTPException(400, "the body is to be a JSON object")
    return asked


def require_allowance(limits: Limits, request: Request, allowance: Allowance) -> None:
    """Count a question of this address.

    Raises:
        HTTPException: 429 if it has asked too much.
    """
    wait = limits.wait(request.client.host if request.client else "", allowance)
    if wait:
        raise too_often(wait, "from this address")


def too_often(wait: float, what: str) -> HTTPException:
    """The answer to somebody who asks too much."""
    seconds = max(1, math.ceil(wait))
    return HTTPException(429, f"too many questions {what}; ask again in {seconds} s", {"Retry-After": str(seconds)})


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _bad_request(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _failed(_: Request, error: Exception) -> Response:
    """What the machine's own trouble is, is for its owner's log and not for strangers."""
    return JSONResponse({"error": f"this service cannot answer now ({type(error).__name__})"}, 500)


#: How errors are told.
HANDLERS: Final[Mapping[Any, ExceptionHandler]] = {
    HTTPException: _told,
    RequestError: _bad_request,
    FailureError: _failed,
}
