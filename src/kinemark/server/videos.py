"""The Videos API: what clients of the service that ended on 2026-09-24 send, and what they are answered.

| route | does |
|---|---|
| POST /v1/videos | asks for a clip |
| GET /v1/videos | lists what was asked for |
| GET /v1/videos/{video_id} | tells how far a clip is |
| DELETE /v1/videos/{video_id} | stops and deletes it, with its files |
| GET /v1/videos/{video_id}/events | the same as server-sent events, whenever something changes, until it is done |
| GET /v1/videos/{video_id}/preview | the clip while it is made, marked and unsigned, if asked for with `preview` |
| GET /v1/videos/{video_id}/content | the clip, or with ?variant= its thumbnail or spritesheet; ranges and ETags |
| POST /v1/videos/{video_id}/remix | a finished clip with something changed |
| POST /v1/videos/edits | the same, by id or of an upload |
| POST /v1/videos/extensions | a clip goes on, or with `before` is led up to |
| POST /v1/videos/connections | what leads from one clip to another; Kinemark's own |
| POST /v1/videos/loops | a clip without an end; Kinemark's own |
| POST /v1/videos/blends | two clips that become one; Kinemark's own |
| POST /v1/videos/recuts | a clip of which parts are kept, and the rest is made anew; Kinemark's own |

Words are judged when a clip is asked for, by the gate that judges them again when it is made.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kinemark.server.asks import SECOND, SOURCE, Blend, Connect, Extend, Loop, Recut, Remix
from kinemark.server.audit import note
from kinemark.server.entering import common, create, enter, sent_as
from kinemark.server.fields import (
    BlendFields,
    ConnectFields,
    EditFields,
    ExtendFields,
    LoopFields,
    RecutFields,
    RemixFields,
    checked,
)
from kinemark.server.forms import body_of
from kinemark.server.jobs import COMPLETED, PREVIEW, piece_role
from kinemark.server.pages import asked_page, page_of
from kinemark.server.problems import ProblemError
from kinemark.server.ranges import asked_range
from kinemark.server.service import POLL_MS, pending
from kinemark.server.uploads import give_clip, size_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from kinemark.server.accounts import Account
    from kinemark.server.asks import Ask
    from kinemark.server.fields import Common
    from kinemark.server.jobs import Asset, Job
    from kinemark.server.service import Service

_Handler = Callable[["Request"], Awaitable[Response]]

#: Seconds between two looks at a job whose events somebody reads, and after which silence is broken.
LOOK: Final = 0.5
QUIET: Final = 15.0
#: Of answers that come as things happen: nothing on the way is to hold them back.
_LIVE: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
VARIANTS: Final = ("video", "thumbnail", "spritesheet")


def video_routes(service: Service) -> list[Route]:
    """The routes, for an application."""
    routes = _Routes(service)
    table: tuple[tuple[str, str, _Handler], ...] = (
        # Words before ids: they share a level of the path.
        ("POST", "/v1/videos/edits", routes.edit),
        ("POST", "/v1/videos/extensions", routes.extend),
        ("POST", "/v1/videos/connections", routes.connect),
        ("POST", "/v1/videos/loops", routes.loop),
        ("POST", "/v1/videos/blends", routes.blend),
        ("POST", "/v1/videos/recuts", routes.recut),
        ("POST", "/v1/videos", routes.create),
        ("GET", "/v1/videos", routes.list),
        ("GET", "/v1/videos/{video_id}", routes.retrieve),
        ("DELETE", "/v1/videos/{video_id}", routes.delete),
        ("GET", "/v1/videos/{video_id}/events", routes.events),
        ("GET", "/v1/videos/{video_id}/preview", routes.preview),
        ("GET", "/v1/videos/{video_id}/content", routes.content),
        ("POST", "/v1/videos/{video_id}/remix", routes.remix),
    )
    return [Route(path, _closing(handler), methods=[method]) for method, path, handler in table]


def _closing(handler: _Handler) -> _Handler:
    """A handler after which files that were uploaded are let go."""

    async def handled(request: Request) -> Response:
        try:
            return await handler(request)
        finally:
            await request.close()

    return handled


class _Routes:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request) -> Response:
        account = await self._service.account(request)
        body = await body_of(request)
        note(request, prompt=body.get("prompt"))
        job = await create(self._service, account, body, sent_as(request))
        note(request, video=job.id)
        return await self._answer(job)

    async def remix(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(RemixFields, await body_of(request))
        asset, source = await give_clip(self._service, account, SOURCE, request.path_params["video_id"], "video_id")
        return await self._remixed(request, account, asked, asset, source)

    async def edit(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(EditFields, await body_of(request))
        asset, source = await give_clip(self._service, account, SOURCE, asked.video, "video")
        return await self._remixed(request, account, asked, asset, source)

    async def extend(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(ExtendFields, await body_of(request))
        asset, source = await give_clip(self._service, account, SOURCE, asked.video, "video")
        size = await self._size(asset, source)
        ask = Extend(**common(asked), size=size, seconds=asked.seconds, before=asked.before)
        held = float(source.facts.get("seconds", 0)) if source else 0.0
        return await self._enter(request, account, asked, ask, (asset,), seconds=asked.seconds + held, source=source)

    async def connect(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(ConnectFields, await body_of(request))
        first, source = await give_clip(self._service, account, SOURCE, asked.video, "video")
        second, _ = await give_clip(self._service, account, SECOND, asked.to, "to")
        ask = Connect(**common(asked), size=await self._size(first, source), seconds=asked.seconds)
        return await self._enter(request, account, asked, ask, (first, second), seconds=asked.seconds, source=source)

    async def loop(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(LoopFields, await body_of(request))
        asset, source = await give_clip(self._service, account, SOURCE, asked.video, "video")
        ask = Loop(**common(asked), size=await self._size(asset, source), seconds=asked.seconds)
        return await self._enter(request, account, asked, ask, (asset,), seconds=asked.seconds, source=source)

    async def blend(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(BlendFields, await body_of(request))
        first, source = await give_clip(self._service, account, SOURCE, asked.video, "video")
        second, other = await give_clip(self._service, account, SECOND, asked.to, "to")
        ask = Blend(**common(asked), size=await self._size(first, source), curve=asked.curve)
        seconds = min(_length(source), _length(other))
        return await self._enter(request, account, asked, ask, (first, second), seconds=seconds, source=source)

    async def recut(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(RecutFields, await body_of(request))
        asset, source = await give_clip(self._service, account, SOURCE, asked.video, "video")
        size = await self._size(asset, source)
        ask = Recut(**common(asked), size=size, keep=asked.keep, seconds=asked.seconds)
        seconds = _length(source) if asked.seconds is None else asked.seconds
        return await self._enter(request, account, asked, ask, (asset,), seconds=seconds, source=source)

    async def list(self, request: Request) -> Response:
        account = await self._service.account(request)
        found, more = await run_in_threadpool(self._service.jobs.page, account.id, asked_page(request))
        told = [await run_in_threadpool(self._service.told, job) for job in found]
        return JSONResponse(page_of(told, more=more))

    async def retrieve(self, request: Request) -> Response:
        job = await self._service.job(request, await self._service.account(request))
        return await self._answer(job)

    async def events(self, request: Request) -> Response:
        account = await self._service.account(request)
        job = await self._service.job(request, account)
        return StreamingResponse(self._events(job, account), headers=_LIVE, media_type="text/event-stream")

    async def _events(self, job: Job | None, account: Account) -> AsyncIterator[str]:
        """A job whenever it is told differently; the last event is the job that is over, or that it was deleted."""
        said, silent = "", 0.0
        while job is not None:
            now = json.dumps(await run_in_threadpool(self._service.told, job))
            if now != said:
                said, silent = now, 0.0
                yield f"event: video.{job.status}\ndata: {now}\n\n"
            elif silent > QUIET:
                silent = 0.0
                yield ": still here\n\n"
            if not pending(job):
                return
            await asyncio.sleep(LOOK)
            silent += LOOK
            job = await run_in_threadpool(self._service.jobs.get, job.id, account.id)
        yield 'event: video.deleted\ndata: {"object": "video.deleted", "deleted": true}\n\n'

    async def preview(self, request: Request) -> Response:
        account = await self._service.account(request)
        job = await self._service.job(request, account)
        if not job.asked.get("preview"):
            raise ProblemError(
                404, "this clip was asked for without a preview; ask with preview: true", code="no_preview"
            )
        await self._require_standing(job)
        note(request, download="preview")
        return StreamingResponse(self._pieces(job, account), headers=_LIVE, media_type="video/mp4")

    async def _pieces(self, job: Job | None, account: Account) -> AsyncIterator[bytes]:
        """The pieces of a preview as they come, until the clip is over."""
        number = 0
        while job is not None:
            over = not pending(job)
            pieces = await run_in_threadpool(self._service.jobs.assets, job.id)
            while (piece := pieces.get(piece_role(PREVIEW, number))) is not None:
                async for content in self._service.store.stream(piece.digest, 0, piece.size):
                    yield content
                number += 1
            if over:
                return
            await asyncio.sleep(LOOK)
            job = await run_in_threadpool(self._service.jobs.get, job.id, account.id)

    async def delete(self, request: Request) -> Response:
        account = await self._service.account(request)
        job = await self._service.job(request, account)
        _, unused = await run_in_threadpool(self._service.jobs.delete, job.id, account.id)
        await run_in_threadpool(self._service.store.drop, unused)
        return JSONResponse({"id": job.id, "object": "video.deleted", "deleted": True})

    async def content(self, request: Request) -> Response:
        job = await self._service.job(request, await self._service.account(request))
        variant = request.query_params.get("variant", "video")
        if variant not in VARIANTS:
            message = f"variant is {variant[:40]!r}; give one of: {', '.join(VARIANTS)}"
            raise ProblemError(400, message, code="invalid_value", param="variant")
        asset = (await run_in_threadpool(self._service.jobs.assets, job.id)).get(variant)
        if asset is None or job.status != COMPLETED:
            raise _not_there(job)
        await self._require_standing(job)
        note(request, download=variant)
        etag = f'"{asset.digest}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600, immutable"}
        if etag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers=headers)
        start, stop, partial = asked_range(request, asset.size, etag)
        headers |= {"Content-Length": str(stop - start)}
        if partial:
            headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{asset.size}"}
        name = f"{job.id}.{asset.media_type.rsplit('/', 1)[1]}"
        headers |= {"Content-Disposition": f'attachment; filename="{name}"'}
        stream = self._service.store.stream(asset.digest, start, stop)
        return StreamingResponse(stream, 206 if partial else 200, headers, asset.media_type)

    async def _require_standing(self, job: Job) -> None:
        if await run_in_threadpool(self._service.taken_down, job):
            message = f"the video {job.id} was taken down; nobody is given it any more"
            raise ProblemError(404, message, code="video_taken_down", headers={"x-should-retry": "false"})

    async def _remixed(
        self, request: Request, account: Account, asked: RemixFields, asset: Asset, source: Job | None
    ) -> Response:
        ask = Remix(**common(asked), size=await self._size(asset, source), strength=asked.strength)
        return await self._enter(request, account, asked, ask, (asset,), seconds=_length(source), source=source)

    async def _size(self, asset: Asset, source: Job | None) -> tuple[int, int]:
        if source is None:
            return await size_of(self._service, asset)
        height, width = source.asked["size"]
        return height, width

    async def _enter(
        self,
        request: Request,
        account: Account,
        asked: Common,
        ask: Ask,
        assets: tuple[Asset, ...],
        *,
        seconds: float,
        source: Job | None = None,
    ) -> Response:
        note(request, prompt=ask.prompt)
        job = await enter(
            self._service, account, asked, ask, assets, sent=sent_as(request), seconds=seconds, source=source
        )
        note(request, video=job.id)
        return await self._answer(job)

    async def _answer(self, job: Job) -> Response:
        headers = {"openai-poll-after-ms": str(POLL_MS)} if pending(job) else {}
        return JSONResponse(await run_in_threadpool(self._service.told, job), headers=headers)


def _length(source: Job | None) -> float:
    """Seconds of a clip that was made here; of another nobody has looked yet."""
    return float(source.facts.get("seconds", 4)) if source else 4.0


def _not_there(job: Job) -> ProblemError:
    """Never a status that clients send again by themselves: they would hammer."""
    headers = {"x-should-retry": "false"}
    if pending(job):
        message = f"the video {job.id} is {job.status}; its content can be had once it is completed"
        return ProblemError(404, message, code="video_not_ready", headers=headers)
    if job.error is not None:
        message = f"the video {job.id} failed, and has no content: {job.error.get('message')}"
        return ProblemError(404, message, code="video_failed", headers=headers)
    return ProblemError(404, f"the files of {job.id} have expired", code="video_expired", headers=headers)
