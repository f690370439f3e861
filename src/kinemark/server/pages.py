"""Lists in pages, as the API has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kinemark.server.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request


def asked_limit(request: Request, least: int) -> int:
    """How many a page is to hold: `least` to 100, 20 where nobody says.

    Raises:
        ProblemError: 400 if it is another number, or none.
    """
    limit = request.query_params.get("limit", "20")
    if not limit.isdecimal() or not least <= int(limit[:6]) <= 100:
        message = f"limit is {limit[:20]!r}; give {least} to 100"
        raise ProblemError(400, message, code="invalid_value", param="limit")
    return int(limit)


def page_of(told: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page; both SDKs go on for as long as it says that there is more."""
    ends = {"first_id": told[0]["id"] if told else None, "last_id": told[-1]["id"] if told else None}
    return {"object": "list", "data": list(told), **ends, "has_more": more}
