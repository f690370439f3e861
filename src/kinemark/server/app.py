"""The server as one application: the Videos API, the moderation of prompts, the verifier, and what watches over them.

| route | answers |
|---|---|
| GET /healthz | 200 while the process lives |
| GET /readyz | 200 while database and storage answer |
| GET /metrics | jobs, requests and their times, for Prometheus; only to its own machine unless allowed |
| GET /openapi.json | the API in OpenAPI's form |
| /v1/videos, ... | `server.videos`, `server.characters` |
| /v1/webhook_endpoints, /v1/webhook_event_types | `server.webhook_routes` |
| /v1/files, /v1/batches | `server.batch_routes` |
| /v1/content_provenance_checks | `server.checks` |
| /v1/reports, /v1/takedowns, /v1/appeals, /v1/cases | `server.desk` |
| /v1/moderations | `server.moderation` |
| /matches, /manifests, /services, /.well-known/kinemark.json | `server.resolution` |
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, get_current_span
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from kinemark.errors import KinemarkError
from kinemark.server.audit import Audit
from kinemark.server.batch_routes import batch_routes
from kinemark.server.characters import character_routes
from kinemark.server.checks import check_routes
from kinemark.server.desk import desk_routes
from kinemark.server.limits import Limits
from kinemark.server.moderation import moderation_app
from kinemark.server.openapi import document
from kinemark.server.problems import HANDLERS, ProblemError
from kinemark.server.resolution import resolution_app
from kinemark.server.tracing import TRACER, of_request
from kinemark.server.videos import video_routes
from kinemark.server.webhook_routes import webhook_routes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from kinemark.server.service import Service

#: Bytes of a request at the most: a file, and what is around it.
MOST_BODY: Final = 210 << 20
_NO_SUCH_FILE: Final = "0" * 64
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_LOG: Final = logging.getLogger(__name__)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def api_app(service: Service) -> Starlette:
    """The application, for an ASGI server."""
    metrics, limits = Metrics(service), Limits()
    public = resolution_app(service.settings, limits)

    audit = Audit(service.settings.audit_dir, prompts=service.settings.audit_prompts)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        try:
            await run_in_threadpool(service.jobs.counts)
            await run_in_threadpool(service.store.has, _NO_SUCH_FILE)
        except (SQLAlchemyError, KinemarkError) as error:
            return JSONResponse({"ready": False, "because": type(error).__name__}, 503)
        return JSONResponse({"ready": True})

    async def described(_: Request) -> Response:
        return JSONResponse(document())

    return Starlette(
        routes=[
            Route("/healthz", healthy),
            Route("/readyz", ready),
            Route("/metrics", metrics.tell),
            Route("/openapi.json", described),
            *character_routes(service),
            *video_routes(service),
            *webhook_routes(service),
            *batch_routes(service),
            *check_routes(service, limits),
            *desk_routes(service, limits),
            *moderation_app(service.settings, limits).routes,
            # By their paths and not all that is left: any origin may ask these, and these alone.
            *(Route(path, public) for path in {route.path for route in public.routes if isinstance(route, Route)}),
        ],
        middleware=[Middleware(Envelope, metrics=metrics, audit=audit)],
        exception_handlers={**HANDLERS, SQLAlchemyError: _database_away},
    )


async def _database_away(_: Request, error: Exception) -> Response:
    _LOG.warning("the database did not answer", exc_info=error)
    message = "the queue does not answer; nothing was entered: try again"
    return ProblemError(503, message, code="unavailable", headers={"Retry-After": "2"}).answer()


class Metrics:
    """What is counted."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        names = ("method", "route", "status")
        self.requests = Counter("kinemark_requests", "Requests that were answered.", names, registry=self._registry)
        self.seconds = Histogram(
            "kinemark_request_seconds", "Until an answer began.", ("route",), registry=self._registry
        )
        self._jobs = Gauge("kinemark_jobs", "Jobs in the queue.", ("status",), registry=self._registry)

    async def tell(self, request: Request) -> Response:
        """The figures, to this machine's own."""
        if request.client is not None and request.client.host not in ("127.0.0.1", "::1", "testclient"):
            raise ProblemError(403, "metrics are told to this machine alone", code="forbidden")
        for status, count in (await run_in_threadpool(self._service.jobs.counts)).items():
            self._jobs.labels(status).set(count)
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")


class Envelope:
    """Around every answer: an id of the request, headers for careful browsers, a bound on bodies, figures, the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics, audit: Audit) -> None:
        self._app, self._metrics, self._audit = app, metrics, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent = headers.get("x-request-id", "")
        id_ = sent if _ID.fullmatch(sent) else f"req_{secrets.token_hex(12)}"
        begun, taken = time.perf_counter(), 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                raise ProblemError(413, f"the request is longer than {MOST_BODY >> 20} MiB", code="request_too_large")
            return message

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = {"x-request-id": id_, "openai-processing-ms": str(round(1e3 * (time.perf_counter() - begun)))}
                present = {name.lower() for name, _ in message["headers"]}
                lines = [(name.lower().encode(), value.encode()) for name, value in (_SAFE | more).items()]
                message["headers"] = [*message["headers"], *(one for one in lines if one[0] not in present)]
                route = _route(scope)
                span = get_current_span()
                span.update_name(f"{scope['method']} {route}")
                span.set_attributes({"http.route": route, "http.response.status_code": message["status"]})
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(time.perf_counter() - begun)
                self._audit.write(scope, route, message["status"], id_)
            await send(message)

        asked = of_request(headers)
        with TRACER.start_as_current_span(scope["method"], asked, SpanKind.SERVER, {"request": id_}):
            await self._app(scope, bounded, answer)


def _route(scope: Scope) -> str:
    """The route's pattern: of paths there are without end."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", None) or "/" + scope["path"].strip("/").split("/")[0])[:40]
