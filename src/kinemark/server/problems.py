"""Errors as the Videos API tells them: `{"error": {"message", "type", "param", "code"}}`, and what else is known.

Clients send 408, 409, 429 and 5xx again by themselves, so that none of these says what would be the same again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from kinemark.errors import FailureError, RefusedError, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ExceptionHandler

INVALID: Final = "invalid_request_error"
_KINDS: Final = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ProblemError(Exception):
    """What a request is answered with where it cannot be carried out.

    Args:
        status: of HTTP.
        message: what was wrong, what is allowed, what to do.
        code: for programs.
        param: which field.
        headers: of the answer.
        more: further keys of the error.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})
        kind = _KINDS.get(status, INVALID if status < 500 else "server_error")
        self.error = {"message": message, "type": kind, "param": param, "code": code, **(more or {})}

    def answer(self) -> Response:
        """The answer."""
        return JSONResponse({"error": self.error}, self.status, self.headers)


def not_found(what: str, id_: str, hint: str = "", *, param: str | None = None) -> ProblemError:
    """The answer to somebody who names what is not there, or is not theirs."""
    more = f"; {hint}" if hint else ""
    return ProblemError(404, f"there is no {what} {id_[:80]!r}{more}", code="not_found", param=param)


def require_soon(wait: float, what: str) -> None:
    """Make sure that somebody need not wait; clients wait for as long as they are told, and ask again.

    Args:
        wait: seconds until it may be asked (`Limits`).
        what: of whom or what there was too much: "with this key".

    Raises:
        ProblemError: 429.
    """
    if wait:
        seconds = max(1, math.ceil(wait))
        message = f"too many requests {what}; ask again in {seconds} s"
        raise ProblemError(429, message, code="rate_limit_exceeded", headers={"Retry-After": str(seconds)})


def source_of(request: Request) -> str:
    """The address that asks."""
    return request.client.host if request.client else ""


def refused(error: RefusedError) -> dict[str, Any]:
    """What a job or an answer says of a refusal: a code that clients know, which rule, at which stage, and why."""
    verdict = error.decision.verdict()
    code = "content_filter" if verdict["stage"] == "output" else "moderation_blocked"
    keys = ("stage", "category", "rule", "reason", "appeal", "policy_version")
    return {"code": code, "message": str(error), **{key: verdict[key] for key in keys}}


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.answer()


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return ProblemError(error.status_code, str(error.detail), headers=error.headers).answer()


async def _request(_: Request, error: Exception) -> Response:
    return ProblemError(400, str(error), code="invalid_request").answer()


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    said = refused(error)
    return ProblemError(400, said.pop("message"), code=said.pop("code"), param="prompt", more=said).answer()


async def _failed(_: Request, error: Exception) -> Response:
    """What the machine's own trouble is, is for its owner's log and not for strangers."""
    message = f"this service cannot answer now ({type(error).__name__}); try again later"
    return ProblemError(503, message, code="unavailable", headers={"Retry-After": "5"}).answer()


#: How errors are told.
HANDLERS: Final[Mapping[Any, ExceptionHandler]] = {
    ProblemError: _problem,
    HTTPException: _http,
    RequestError: _request,
    RefusedError: _refused,
    FailureError: _failed,
}
