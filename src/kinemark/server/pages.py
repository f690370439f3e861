"""Lists in pages, as the API has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinemark.server.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which page is asked for.

    Attributes:
        after: the id after which it begins; None: at the beginning.
        limit: how many it holds at most.
        newest_first: in which order.
    """

    after: str | None = None
    limit: int = 20
    newest_first: bool = True


def asked_page(request: Request, least: int = 0, most: int = 100) -> Wanted:
    """The page that a request asks for: `least` to `most`, 20 where nobody says.

    Raises:
        ProblemError: 400 if the limit or the order is none.
    """
    limit, order = request.query_params.get("limit", "20"), request.query_params.get("order", "desc")
    if not limit.isdecimal() or not least <= int(limit[:6]) <= most:
        message = f"limit is {limit[:20]!r}; give {least} to {most}"
        raise ProblemError(400, message, code="invalid_value", param="limit")
    if order not in ("asc", "desc"):
        raise ProblemError(400, f"order is {order[:20]!r}; give asc or desc", code="invalid_value", param="order")
    return Wanted(request.query_params.get("after"), int(limit), order == "desc")


def page_of(told: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page; both SDKs go on for as long as it says that there is more."""
    ends = {"first_id": told[0]["id"] if told else None, "last_id": told[-1]["id"] if told else None}
    return {"object": "list", "data": list(told), **ends, "has_more": more and bool(told)}
