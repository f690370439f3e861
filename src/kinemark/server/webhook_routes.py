"""The management of webhooks, as newer clients of the API send it.

| route | does |
|---|---|
| POST, GET /v1/webhook_endpoints | makes one, with its secret; lists them |
| GET, POST, DELETE /v1/webhook_endpoints/{endpoint_id} | one of them; changes it; deletes it |
| POST /v1/webhook_endpoints/{endpoint_id}/rotate_secret | gives it a new secret |
| POST /v1/webhook_endpoints/{endpoint_id}/test | sends it an event now, and says what it answered |
| GET /v1/webhook_event_types | the events that there are |
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Any, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kinemark.errors import RequestError
from kinemark.server.courier import send
from kinemark.server.fields import checked
from kinemark.server.forms import body_of
from kinemark.server.outside import require_url
from kinemark.server.pages import Wanted, asked_page, page_of
from kinemark.server.problems import ProblemError, not_found
from kinemark.server.webhooks import EVENTS, event_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from kinemark.server.accounts import Account
    from kinemark.server.service import Service
    from kinemark.server.webhooks import Endpoint

Event = Literal[
    "video.completed", "video.failed", "batch.completed", "batch.failed", "batch.expired", "batch.cancelled"
]
Events = Annotated[list[Event], Field(min_length=1)]
_MOST: int = 20


class EndpointFields(BaseModel):
    """Of POST /webhook_endpoints."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)]
    url: Annotated[str, Field(max_length=2000)]
    event_types: Events


class ChangeFields(BaseModel):
    """Of POST /webhook_endpoints/{id}."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    url: Annotated[str, Field(max_length=2000)] | None = None
    event_types: Events | None = None


class RotateFields(BaseModel):
    """Of POST /webhook_endpoints/{id}/rotate_secret."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    keep_old_secret_active_for_24_hours: bool = False


class TestFields(BaseModel):
    """Of POST /webhook_endpoints/{id}/test."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    event_type: Event = "video.completed"


def webhook_routes(service: Service) -> list[Route]:
    """The routes, for an application."""
    routes = _Routes(service)
    one = "/v1/webhook_endpoints/{endpoint_id}"
    return [
        Route("/v1/webhook_endpoints", routes.create, methods=["POST"]),
        Route("/v1/webhook_endpoints", routes.list, methods=["GET"]),
        Route(one, routes.retrieve, methods=["GET"]),
        Route(one, routes.change, methods=["POST"]),
        Route(one, routes.delete, methods=["DELETE"]),
        Route(f"{one}/rotate_secret", routes.rotate, methods=["POST"]),
        Route(f"{one}/test", routes.test, methods=["POST"]),
        Route("/v1/webhook_event_types", routes.types, methods=["GET"]),
    ]


class _Routes:
    def __init__(self, service: Service) -> None:
        self._service, self._private = service, service.settings.private_addresses

    async def create(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(EndpointFields, await body_of(request))
        self._require(asked.url)
        _, more = await run_in_threadpool(self._service.webhooks.page, account.id, Wanted(limit=_MOST - 1))
        if more:
            raise ProblemError(400, f"there are {_MOST} endpoints already; delete one first", code="too_many_endpoints")
        made = await run_in_threadpool(
            self._service.webhooks.create, account.id, asked.name, asked.url, asked.event_types
        )
        return JSONResponse(_told(made, secret=True))

    async def list(self, request: Request) -> Response:
        account = await self._service.account(request)
        wanted = asked_page(request, least=1)
        found, more = await run_in_threadpool(self._service.webhooks.page, account.id, wanted)
        return JSONResponse(page_of([_told(endpoint) for endpoint in found], more=more))

    async def retrieve(self, request: Request) -> Response:
        return JSONResponse(_told(await self._endpoint(request, await self._service.account(request))))

    async def change(self, request: Request) -> Response:
        account = await self._service.account(request)
        endpoint = await self._endpoint(request, account)
        asked = checked(ChangeFields, await body_of(request)).model_dump(exclude_none=True)
        if "url" in asked:
            self._require(asked["url"])
        changed = await run_in_threadpool(self._service.webhooks.change, endpoint.id, account.id, asked)
        return JSONResponse(_told(changed or endpoint))

    async def delete(self, request: Request) -> Response:
        account = await self._service.account(request)
        endpoint = await self._endpoint(request, account)
        await run_in_threadpool(self._service.webhooks.delete, endpoint.id, account.id)
        return JSONResponse({"id": endpoint.id, "object": "webhook_endpoint.deleted", "deleted": True})

    async def rotate(self, request: Request) -> Response:
        account = await self._service.account(request)
        endpoint = await self._endpoint(request, account)
        keep = checked(RotateFields, await body_of(request)).keep_old_secret_active_for_24_hours
        rotated = await run_in_threadpool(lambda: self._service.webhooks.rotate(endpoint.id, account.id, keep_old=keep))
        return JSONResponse(_told(rotated or endpoint, secret=True))

    async def test(self, request: Request) -> Response:
        endpoint = await self._endpoint(request, await self._service.account(request))
        kind = checked(TestFields, await body_of(request)).event_type
        id_ = f"evt_{secrets.token_hex(16)}"
        body = event_body(id_, kind, f"video_{'0' * 48}")
        try:
            status = await run_in_threadpool(lambda: send(endpoint, id_, body, private=self._private))
        except (httpx.HTTPError, RequestError, OSError) as error:
            reason = str(error) if isinstance(error, RequestError) else type(error).__name__
            raise ProblemError(400, f"the endpoint was not reached ({reason})", code="endpoint_unreachable") from error
        told = {"object": "webhook_endpoint.test", "webhook_endpoint_id": endpoint.id, "event_type": kind}
        return JSONResponse({**told, "status_code": status, "success": True})

    async def types(self, request: Request) -> Response:
        await self._service.account(request)
        return JSONResponse({"object": "list", "data": list(EVENTS)})

    async def _endpoint(self, request: Request, account: Account) -> Endpoint:
        id_ = request.path_params["endpoint_id"]
        found = await run_in_threadpool(self._service.webhooks.get, id_, account.id)
        if found is None:
            raise not_found("webhook endpoint", id_)
        return found

    def _require(self, url: str) -> None:
        try:
            require_url(url, private=self._private)
        except RequestError as error:
            raise ProblemError(400, str(error), code="invalid_value", param="url") from error


def _told(endpoint: Endpoint, *, secret: bool = False) -> dict[str, Any]:
    """An endpoint as clients know it; its secret is shown when it is made, and never again."""
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": endpoint.event_types,
        "created_at": int(endpoint.created_at),
        "updated_at": None if endpoint.updated_at is None else int(endpoint.updated_at),
        "signing_secret_hint": endpoint.secret[-4:],
        **({"signing_secret": endpoint.secret} if secret else {}),
    }
