"""Files that are given with a request: a part of a form, a data URL, a file by its id, or what this server made before.

Nothing is fetched from addresses unless the operator allows it, and then only as `outside` has it: that is how servers
are made to attack others.
"""

from __future__ import annotations

import base64
import binascii
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from kinemark.data.video import media_kind, read_shape
from kinemark.errors import RequestError
from kinemark.server.jobs import COMPLETED, Asset
from kinemark.server.outside import asked
from kinemark.server.problems import ProblemError, not_found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.server.accounts import Account
    from kinemark.server.jobs import Job
    from kinemark.server.service import Service

PICTURES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
VIDEOS: Final = {"video/mp4": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm", "video/x-matroska": ".mkv"}
MOST_BYTES: Final = 100 << 20
#: Bytes of a picture that is fetched, and seconds that it may take.
MOST_FETCHED, PATIENCE = 20 << 20, 10.0
#: Bytes of a file of requests.
MOST_LINES: Final = 200 << 20
_HEADS: Final = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


async def give_picture(service: Service, account: Account, role: str, sent: Any, param: str) -> Asset:  # noqa: ANN401
    """Keep a picture that was given.

    Args:
        service: whose store keeps it.
        account: who gives it.
        role: what it is to the job.
        sent: an upload, `{"image_url": "data:..."}`, or `{"file_id": "file-..."}`.
        param: the field, for errors.

    Raises:
        ProblemError: it is none, or is not given in a way that is allowed.
    """
    if isinstance(sent, UploadFile):
        return await _kept(service, role, await read_upload(sent, param), PICTURES, param)
    if isinstance(sent, dict) and isinstance(sent.get("image_url"), str) and len(sent) == 1:
        content = await run_in_threadpool(_at, service, sent["image_url"], param)
        return await _kept(service, role, content, PICTURES, param)
    if isinstance(sent, dict) and isinstance(sent.get("file_id"), str) and len(sent) == 1:
        return await _by_id(service, account, role, sent["file_id"], param)
    kind = "a string" if isinstance(sent, str) else f"a {type(sent).__name__}"
    message = f"Invalid type for '{param}': expected a file, but got {kind} instead."
    raise ProblemError(400, message, code="invalid_type", param=param)


async def give_clip(
    service: Service,
    account: Account,
    role: str,
    sent: Any,  # noqa: ANN401
    param: str,
) -> tuple[Asset, Job | None]:
    """A clip that was given, and the job that made it, if one of this account's did.

    Raises:
        ProblemError: it is none, or is not done.
    """
    if isinstance(sent, UploadFile):
        return await _kept(service, role, await read_upload(sent, param), VIDEOS, param), None
    id_ = sent.get("id") if isinstance(sent, dict) else sent
    if not isinstance(id_, str):
        raise ProblemError(400, f'{param} is to be a file, or {{"id": "video_..."}}', code="invalid_type", param=param)
    job = await run_in_threadpool(service.jobs.get, id_, account.id)
    if job is None:
        raise not_found("video", id_, param=param)
    asset = (await run_in_threadpool(service.jobs.assets, job.id)).get("video")
    if job.status != COMPLETED or asset is None:
        state = "has expired" if job.status == COMPLETED else f"is {job.status}"
        message = f"the video {job.id} {state}; a completed one whose files are kept can be used"
        raise ProblemError(400, message, code="video_not_ready", param=param, headers={"x-should-retry": "false"})
    return Asset(role, asset.digest, asset.media_type, asset.size), job


async def give_lines(service: Service, sent: UploadFile, param: str) -> tuple[str, int]:
    """Keep a file of requests, whatever is in it: its digest and size.

    Raises:
        ProblemError: it is too long.
    """

    def keep() -> tuple[str, int]:
        with tempfile.TemporaryDirectory(prefix="kinemark-") as folder:
            path = Path(folder) / "lines.jsonl"
            with path.open("wb") as file:
                shutil.copyfileobj(sent.file, file)
            if path.stat().st_size > MOST_LINES:
                message = f"{param} is longer than {MOST_LINES >> 20} MiB"
                raise ProblemError(413, message, code="file_too_large", param=param)
            return service.store.put(path)

    return await run_in_threadpool(keep)


async def _by_id(service: Service, account: Account, role: str, id_: str, param: str) -> Asset:
    file = await run_in_threadpool(service.files.get, id_, account.id)
    if file is None:
        raise not_found("file", id_, "POST /v1/files keeps one", param=param)
    if file.media_type not in PICTURES:
        message = f"the file {id_} is {file.media_type}; give one of: {', '.join(PICTURES)}"
        raise ProblemError(400, message, code="invalid_value", param=param)
    return Asset(role, file.digest, file.media_type, file.size)


async def size_of(service: Service, asset: Asset) -> tuple[int, int]:
    """Height and width of a file that is kept."""

    def look() -> tuple[int, int]:
        with tempfile.TemporaryDirectory(prefix="kinemark-") as folder:
            path = Path(folder) / f"given{(PICTURES | VIDEOS)[asset.media_type]}"
            service.store.fetch(asset.digest, path)
            shape = read_shape(path)
        return shape.height // 2 * 2, shape.width // 2 * 2

    return await run_in_threadpool(look)


def require_upload(sent: object, param: str) -> UploadFile:
    """What was sent, as the file that it has to be.

    Raises:
        ProblemError: it is none.
    """
    if not isinstance(sent, UploadFile):
        message = f"{param} is to be a file, as a part of a form"
        raise ProblemError(400, message, code="invalid_type", param=param)
    return sent


async def read_upload(sent: UploadFile, param: str) -> bytes:
    """The content of an upload.

    Raises:
        ProblemError: it is too long, or empty.
    """
    content = await sent.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ProblemError(413, f"{param} is longer than {MOST_BYTES >> 20} MiB", code="file_too_large", param=param)
    if not content:
        raise ProblemError(400, f"{param} is empty; send the file itself", code="invalid_value", param=param)
    return content


def _at(service: Service, url: str, param: str) -> bytes:
    """The content of a picture by its URL."""
    if url.startswith("data:"):
        return _decoded(url, param)
    settings = service.settings
    if not settings.fetch_images:
        message = f"{param}.image_url is no data URL; addresses are not fetched here: send the picture itself"
        raise ProblemError(400, message, code="invalid_value", param=param)
    try:
        return _fetched(url, private=settings.private_addresses)
    except RequestError as error:
        raise ProblemError(400, f"{param}.image_url: {error}", code="invalid_value", param=param) from error
    except (httpx.HTTPError, OSError) as error:
        message = f"{param}.image_url does not answer ({type(error).__name__}); send the picture itself"
        raise ProblemError(400, message, code="image_unreachable", param=param) from error


def _fetched(url: str, *, private: bool) -> bytes:
    """What lies at an address, in one piece and soon.

    Raises:
        RequestError: it may not be asked for, is not there, is too long, or takes too long.
    """
    content, until = bytearray(), time.monotonic() + PATIENCE
    accepted = {"accept": ", ".join(PICTURES)}
    with asked("GET", url, private=private, patience=PATIENCE, headers=accepted) as answer:
        if answer.status_code != 200:
            raise RequestError(f"it is answered with {answer.status_code}; give the address of the picture itself")
        for piece in answer.iter_raw():
            content += piece
            if len(content) > MOST_FETCHED or time.monotonic() > until:
                raise RequestError(f"it has more than {MOST_FETCHED >> 20} MiB, or takes more than {PATIENCE:g} s")
    return bytes(content)


def _decoded(url: str, param: str) -> bytes:
    head, _, data = url.partition(",")
    if not head.endswith(";base64"):
        message = f"{param}.image_url is a data URL without base64; encode it so"
        raise ProblemError(400, message, code="invalid_value", param=param)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"{param}.image_url holds no base64 ({error})"
        raise ProblemError(400, message, code="invalid_value", param=param) from error


async def _kept(service: Service, role: str, content: bytes, kinds: dict[str, str], param: str) -> Asset:
    """Keep a file once it was seen to be what it has to be; its name and what a client calls it count for nothing."""

    def keep() -> Asset:
        with written(content, kinds, param) as (path, media_type):
            try:
                video = media_kind(path) == "video"
            except RequestError as error:
                message = str(error).replace(str(path), "the file")
                raise ProblemError(400, f"{param}: {message}", code="invalid_value", param=param) from error
            if video != (kinds is VIDEOS):
                wanted = ", ".join(kinds)
                raise ProblemError(400, f"{param} is no {wanted}", code="invalid_value", param=param)
            digest, size = service.store.put(path)
        return Asset(role, digest, media_type, size)

    return await run_in_threadpool(keep)


@contextmanager
def written(content: bytes, kinds: dict[str, str], param: str) -> Iterator[tuple[Path, str]]:
    """A file with what was sent, and its media type by its first bytes.

    Raises:
        ProblemError: it is none of the kinds.
    """
    media_type = next((kind for head, kind in _HEADS if content.startswith(head)), None)
    if media_type is None and content[4:8] == b"ftyp":
        media_type = "video/quicktime" if content[8:10] == b"qt" else "video/mp4"
    if media_type is None and content.startswith(b"\x1a\x45\xdf\xa3"):
        media_type = "video/x-matroska"
    if media_type not in kinds:
        message = f"{param} is {media_type or 'of an unknown kind'}; send one of: {', '.join(kinds)}"
        raise ProblemError(400, message, code="invalid_value", param=param)
    with tempfile.TemporaryDirectory(prefix="kinemark-") as folder:
        path = Path(folder) / f"given{kinds[media_type]}"
        path.write_bytes(content)
        yield path, media_type
