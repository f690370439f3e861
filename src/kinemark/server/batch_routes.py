"""Files of owners, and batches.

| route | does |
|---|---|
| POST, GET /v1/files | keeps a file for a purpose; lists them |
| GET, DELETE /v1/files/{file_id} | tells about one; deletes it |
| GET /v1/files/{file_id}/content | its content |
| POST, GET /v1/batches | asks for the clips of a file of requests; lists batches |
| GET /v1/batches/{batch_id} | tells how far one is |
| POST /v1/batches/{batch_id}/cancel | lets nothing more of it be made |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from kinemark.server.audit import note
from kinemark.server.batcher import JSON_LINES
from kinemark.server.batches import CANCELLED, CANCELLING, COMPLETED, EXPIRED, FAILED, IN_PROGRESS
from kinemark.server.fields import Metadata, checked
from kinemark.server.files import BATCH, KEEP, MOST_KEPT
from kinemark.server.forms import body_of
from kinemark.server.pages import asked_page, page_of
from kinemark.server.problems import ProblemError, not_found
from kinemark.server.uploads import give_lines, give_picture, require_upload

if TYPE_CHECKING:
    from starlette.requests import Request

    from kinemark.server.accounts import Account
    from kinemark.server.batches import Batch
    from kinemark.server.files import File
    from kinemark.server.service import Service

_TIMES: Final = {
    "in_progress_at": IN_PROGRESS,
    "completed_at": COMPLETED,
    "failed_at": FAILED,
    "expired_at": EXPIRED,
    "cancelling_at": CANCELLING,
    "cancelled_at": CANCELLED,
}


class _Expiry(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class FileFields(BaseModel):
    """Of POST /files."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: Any
    purpose: Literal["batch", "vision", "user_data"]
    expires_after: _Expiry | None = None


class BatchFields(BaseModel):
    """Of POST /batches."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    input_file_id: Annotated[str, Field(max_length=64)]
    endpoint: Literal["/v1/videos"]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: _Expiry | None = None


def batch_routes(service: Service) -> list[Route]:
    """The routes, for an application."""
    routes = _Routes(service)
    return [
        Route("/v1/files", routes.keep, methods=["POST"]),
        Route("/v1/files", routes.list_files, methods=["GET"]),
        Route("/v1/files/{file_id}", routes.file, methods=["GET"]),
        Route("/v1/files/{file_id}", routes.delete, methods=["DELETE"]),
        Route("/v1/files/{file_id}/content", routes.content, methods=["GET"]),
        Route("/v1/batches", routes.create, methods=["POST"]),
        Route("/v1/batches", routes.list_batches, methods=["GET"]),
        Route("/v1/batches/{batch_id}", routes.batch, methods=["GET"]),
        Route("/v1/batches/{batch_id}/cancel", routes.cancel, methods=["POST"]),
    ]


class _Routes:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def keep(self, request: Request) -> Response:
        account = await self._service.account(request)
        try:
            kept = await self._keep(account, await body_of(request))
            note(request, file=kept.id)
            return JSONResponse(_file(kept))
        finally:
            await request.close()

    async def _keep(self, account: Account, body: dict[str, Any]) -> File:
        asked, files = checked(FileFields, body), self._service.files
        file = require_upload(asked.file, "file")
        if asked.purpose == BATCH:
            kept = await give_lines(self._service, file, "file")
            media_type = JSON_LINES
        else:
            picture = await give_picture(self._service, account, "", file, "file")
            kept, media_type = (picture.digest, picture.size), picture.media_type
        name = (file.filename or "file")[:255]
        keep = asked.expires_after.seconds if asked.expires_after else KEEP
        made = await run_in_threadpool(
            lambda: files.add(account.id, asked.purpose, name, kept, media_type, keep, MOST_KEPT)
        )
        if made is None:
            message = f"you keep {MOST_KEPT >> 30} GiB of files already; delete some: DELETE /v1/files/FILE"
            raise ProblemError(400, message, code="too_many_files", param="file")
        if not await run_in_threadpool(self._service.store.has, made.digest):
            await run_in_threadpool(files.delete, made.id, account.id)
            raise ProblemError(503, "the file was lost on the way; send it again", code="unavailable")
        return made

    async def list_files(self, request: Request) -> Response:
        account = await self._service.account(request)
        wanted, purpose = asked_page(request, most=10_000), request.query_params.get("purpose")
        found, more = await run_in_threadpool(self._service.files.page, account.id, wanted, purpose)
        return JSONResponse(page_of([_file(file) for file in found], more=more))

    async def file(self, request: Request) -> Response:
        return JSONResponse(_file(await self._file(request, await self._service.account(request))))

    async def delete(self, request: Request) -> Response:
        account = await self._service.account(request)
        file = await self._file(request, account)
        _, unused = await run_in_threadpool(self._service.files.delete, file.id, account.id)
        await run_in_threadpool(self._service.store.drop, unused)
        return JSONResponse({"id": file.id, "object": "file", "deleted": True})

    async def content(self, request: Request) -> Response:
        file = await self._file(request, await self._service.account(request))
        headers = {"Content-Length": str(file.size), "Content-Disposition": f'attachment; filename="{file.id}"'}
        note(request, download=file.purpose)
        stream = self._service.store.stream(file.digest, 0, file.size)
        return StreamingResponse(stream, headers=headers, media_type=file.media_type)

    async def create(self, request: Request) -> Response:
        account = await self._service.account(request)
        asked = checked(BatchFields, await body_of(request))
        file = await run_in_threadpool(self._service.files.get, asked.input_file_id, account.id)
        if file is None or file.purpose != BATCH:
            message = (
                f"{asked.input_file_id!r} is no file of yours with the purpose {BATCH!r}; POST /v1/files keeps one"
            )
            raise ProblemError(400, message, code="invalid_value", param="input_file_id")
        more = asked.model_dump(exclude={"input_file_id"})
        made = await run_in_threadpool(self._service.batches.add, account.id, file.id, more)
        note(request, batch=made.id)
        return JSONResponse(await self._told(made))

    async def list_batches(self, request: Request) -> Response:
        account = await self._service.account(request)
        found, more = await run_in_threadpool(self._service.batches.page, account.id, asked_page(request))
        return JSONResponse(page_of([await self._told(batch) for batch in found], more=more))

    async def batch(self, request: Request) -> Response:
        return JSONResponse(await self._told(await self._batch(request, await self._service.account(request))))

    async def cancel(self, request: Request) -> Response:
        account = await self._service.account(request)
        batch = await self._batch(request, account)
        cancelled = await run_in_threadpool(self._service.batches.cancel, batch.id, account.id)
        if cancelled is None:
            message = f"the batch {batch.id} is {batch.status}; only one that is under way can be cancelled"
            raise ProblemError(400, message, code="batch_over", headers={"x-should-retry": "false"})
        return JSONResponse(await self._told(cancelled))

    async def _file(self, request: Request, account: Account) -> File:
        id_ = request.path_params["file_id"]
        found = await run_in_threadpool(self._service.files.get, id_, account.id)
        if found is None:
            raise not_found("file", id_, "GET /v1/files lists yours")
        return found

    async def _batch(self, request: Request, account: Account) -> Batch:
        id_ = request.path_params["batch_id"]
        found = await run_in_threadpool(self._service.batches.get, id_, account.id)
        if found is None:
            raise not_found("batch", id_, "GET /v1/batches lists yours")
        return found

    async def _told(self, batch: Batch) -> dict[str, Any]:
        """A batch as clients know it."""
        counts = await run_in_threadpool(self._service.batches.counts, batch.id)
        times = {name: _whole(batch.times.get(status)) for name, status in _TIMES.items()}
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.asked["endpoint"],
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
            "input_file_id": batch.input_file,
            "completion_window": batch.asked["completion_window"],
            "status": batch.status,
            "output_file_id": batch.output_file,
            "error_file_id": batch.error_file,
            "created_at": int(batch.created_at),
            "expires_at": int(batch.expires_at),
            "finalizing_at": times["completed_at"],
            **times,
            "request_counts": counts,
            "metadata": batch.asked.get("metadata"),
        }


def _file(file: File) -> dict[str, Any]:
    """A file as clients know it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
