"""Characters: people who agreed to be shown, by the handles of the register of consent.

| route | answers |
|---|---|
| POST /v1/videos/characters | 400: nobody agrees by an upload; a record of consent is entered by the operator |
| GET /v1/videos/characters/{character_id} | a person whose consent stands, by their handle |

A request names at most two by `characters: [{"id": "ada"}]`, and each as `@ada` in its prompt, where the gates look.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kinemark.errors import RequestError
from kinemark.safety.consent.register import Register, handles
from kinemark.server.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from kinemark.server.service import Service


def character_routes(service: Service) -> list[Route]:
    """The routes, for an application; before those whose paths hold an id."""

    async def create(request: Request) -> Response:
        await service.account(request)
        raise ProblemError(
            400,
            "a character is a person who agreed to be shown, and an upload is no agreement: the operator enters a "
            "record of consent (kinemark consent add), and prompts then name the person by the handle in it",
            code="consent_required",
        )

    async def retrieve(request: Request) -> Response:
        await service.account(request)
        return JSONResponse(await run_in_threadpool(_told, service, request.path_params["character_id"]))

    return [
        Route("/v1/videos/characters", create, methods=["POST"]),
        Route("/v1/videos/characters/{character_id}", retrieve, methods=["GET"]),
    ]


def require_named(ids: Sequence[str], prompt: str) -> None:
    """Make sure that a prompt names the characters of a request.

    Raises:
        ProblemError: it does not.
    """
    missing = [id_ for id_ in ids if id_.removeprefix("@").lower() not in handles([prompt])]
    if missing:
        name = missing[0][:40]
        message = f"the character {name!r} is not named in the prompt; write @{name} where it appears"
        raise ProblemError(400, message, code="character_not_named", param="characters")


def _told(service: Service, id_: str) -> dict[str, Any]:
    handle = id_.removeprefix("@").lower()
    unknown = ProblemError(404, f"nobody with the handle {id_[:40]!r} agreed to be shown", code="not_found")
    if not service.settings.consent_dir.is_dir():
        raise unknown
    try:
        with Register(service.settings.consent_dir) as register:
            entry = register.entry(handle)
    except RequestError as error:
        raise unknown from error
    if entry.revoked is not None:
        raise unknown
    entered = dt.datetime.fromisoformat(entry.entered)
    return {"id": handle, "name": f"@{handle}", "created_at": int(entered.timestamp())}
