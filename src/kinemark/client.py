"""A client of Kinemark's server, for what the SDKs of the Videos API cannot say: every verb, storyboards, events.

    from kinemark.client import Client

    with Client("http://127.0.0.1:8000/v1", "km_...") as client:
        video = client.wait(client.create("a red sailboat at sunset", seconds=4, size="256x144"))
        client.save(video, "boat.mp4")

`AsyncClient` is the same with `await`. Every request for a clip names itself, so that one whose answer was lost is sent
again without a second clip being made.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import httpx

from kinemark.errors import KinemarkError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import TracebackType

TRIES: Final = 3
#: Seconds before the second try; twice as many before each further one.
PAUSE: Final = 0.5
#: Silence is broken by the server every 15 seconds.
_EVENTS: Final = httpx.Timeout(60)
_KINDS: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}


class ApiError(KinemarkError):
    """The server answers that it cannot.

    Attributes:
        status: of HTTP; 0 where nobody answered.
        error: what it says: `message`, `type`, `param`, `code`, and of refusals `rule`, `stage`, `reason`, `appeal`.
    """

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message") or f"the server answered {status}"))
        self.status, self.error = status, error


@dataclass(frozen=True, slots=True)
class Video:
    """A clip that was asked for.

    Attributes:
        id: of the job.
        status: "queued", "in_progress", "completed" or "failed".
        progress: 0 to 100.
        model: that makes it.
        prompt: what it shows.
        size: WIDTHxHEIGHT of what is delivered.
        seconds: how long it is.
        error: why it failed; None if it did not.
        more: what Kinemark adds: position, eta_seconds, seed, made, credential, labels.
    """

    id: str
    status: str
    progress: int
    model: str
    prompt: str
    size: str
    seconds: float
    error: dict[str, Any] | None
    more: dict[str, Any]

    @property
    def over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status not in ("queued", "in_progress")

    @classmethod
    def of(cls, told: dict[str, Any]) -> Video:
        """A clip as the server tells it."""
        names = ("id", "status", "progress", "model", "prompt", "size", "error")
        return cls(**{name: told[name] for name in names}, seconds=float(told["seconds"]), more=told["kinemark"])


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the server."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    query: dict[str, Any] | None = None
    headers: dict[str, str] | None = None

    def options(self) -> dict[str, Any]:
        """As httpx takes them."""
        return {"json": self.body, "params": self.query, "headers": self.headers}


def _making(path: str, prompt: str, fields: dict[str, Any]) -> Call:
    """A request for a clip, under a name of its own."""
    body = {"prompt": prompt, **{name: value for name, value in fields.items() if value is not None}}
    return Call("POST", path, body, headers={"Idempotency-Key": secrets.token_hex(16)})


def _create(prompt: str, image: Path | str | None, fields: dict[str, Any]) -> Call:
    if image is not None:
        path = Path(image)
        kind = _KINDS.get(path.suffix.lower(), "image/png")
        data = base64.b64encode(path.read_bytes()).decode()
        fields = fields | {"input_reference": {"image_url": f"data:{kind};base64,{data}"}}
    return _making("videos", prompt, fields)


def _of(video: Video | str) -> str:
    return video if isinstance(video, str) else video.id


def _one(video: Video | str) -> dict[str, str]:
    return {"id": _of(video)}


def _page(after: str | None) -> Call:
    return Call("GET", "videos", query={"limit": 100} | ({"after": after} if after else {}))


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"the server answered {answer.status_code}"}
    raise ApiError(answer.status_code, error if isinstance(error, dict) else {"message": str(error)})


def _again(answer: httpx.Response | None) -> bool:
    """Whether a request is worth sending again: nobody answered, or the server says that it cannot now."""
    return answer is None or (answer.status_code in (502, 503, 504) and answer.headers.get("x-should-retry") != "false")


def _event(line: str) -> Video | None:
    if not line.startswith("data: "):
        return None
    told = json.loads(line.removeprefix("data: "))
    return Video.of(told) if told.get("object") == "video" else None


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write that is at its path once it was written whole, and not at all if it was not."""
    partial = Path(f"{path}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except httpx.TransportError as error:
        raise _unanswered(error) from error
    finally:
        partial.unlink(missing_ok=True)


def _unanswered(error: httpx.TransportError | None) -> ApiError:
    return ApiError(0, {"message": f"the server does not answer ({type(error).__name__}); see that it runs"})


class Client:
    """A client; a context manager.

    Args:
        url: of the API, up to and with /v1.
        key: an API key; a server that asks for none takes any.
        transport: how requests travel; for tests.

    Every method raises `ApiError` where the server says no, or does not answer.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000/v1", key: str = "any", *, transport: httpx.BaseTransport | None = None
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=60, transport=transport)

    def create(self, prompt: str, *, image: Path | str | None = None, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip; `fields` are those of the API: seconds, size, model, seed, storyboard, ..."""
        return self._video(_create(prompt, image, fields))

    def remix(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for the same clip with something changed."""
        return self._video(_making(f"videos/{_of(video)}/remix", prompt, fields))

    def extend(self, video: Video | str, prompt: str, *, seconds: float, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip that goes on, or with before=True for one that is led up to."""
        return self._video(_making("videos/extensions", prompt, {"video": _one(video), "seconds": seconds} | fields))

    def connect(self, video: Video | str, to: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for what leads from one clip to another."""
        return self._video(_making("videos/connections", prompt, {"video": _one(video), "to": _one(to)} | fields))

    def loop(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip without an end."""
        return self._video(_making("videos/loops", prompt, {"video": _one(video)} | fields))

    def retrieve(self, video: Video | str) -> Video:
        """How far a clip is."""
        return self._video(Call("GET", f"videos/{_of(video)}"))

    def list(self) -> Iterator[Video]:
        """Every clip, the newest first."""
        after: str | None = None
        while True:
            page = self._send(_page(after)).json()
            yield from map(Video.of, page["data"])
            after = page["last_id"]
            if not page["has_more"]:
                return

    def events(self, video: Video | str) -> Iterator[Video]:
        """The clip whenever something about it changes, until it is over; a connection that breaks is made again."""
        left = TRIES
        while True:
            try:
                with self._http.stream("GET", f"videos/{_of(video)}/events", timeout=_EVENTS) as answer:
                    if not answer.is_success:
                        answer.read()
                    for line in _checked(answer).iter_lines():
                        if (seen := _event(line)) is not None:
                            left = TRIES
                            yield seen
            except httpx.TransportError as error:
                left -= 1
                if not left:
                    raise _unanswered(error) from error
                time.sleep(PAUSE)
            else:
                return

    def wait(self, video: Video | str) -> Video:
        """The clip once it is over."""
        last = None
        for last in self.events(video):  # noqa: B007  the last one counts
            pass
        return last or self.retrieve(video)

    def save(self, video: Video | str, path: Path | str, *, variant: str = "video") -> Path:
        """Write a clip, its thumbnail or its spritesheet to a file, and return its path."""
        where = f"videos/{_of(video)}/content"
        with _whole(Path(path)) as file, self._http.stream("GET", where, params={"variant": variant}) as answer:
            if not answer.is_success:
                answer.read()
            for piece in _checked(answer).iter_bytes():
                file.write(piece)
        return Path(path)

    def delete(self, video: Video | str) -> None:
        """Stop a clip, and delete it with its files."""
        self._send(Call("DELETE", f"videos/{_of(video)}"))

    def _video(self, call: Call) -> Video:
        return Video.of(self._send(call).json())

    def _send(self, call: Call) -> httpx.Response:
        answer, error = None, None
        for turn in range(TRIES):
            if turn:
                time.sleep(PAUSE * 2 ** (turn - 1))
            try:
                answer = self._http.request(call.method, call.path, **call.options())
            except httpx.TransportError as failed:
                answer, error = None, failed
            if not _again(answer):
                break
        if answer is None:
            raise _unanswered(error) from error
        return _checked(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()


class AsyncClient:
    """The same, for asyncio; an asynchronous context manager. Methods are those of `Client`."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000/v1",
        key: str = "any",
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.AsyncClient(base_url=url.rstrip("/") + "/", headers=headers, timeout=60, transport=transport)

    async def create(self, prompt: str, *, image: Path | str | None = None, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip."""
        return await self._video(_create(prompt, image, fields))

    async def remix(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for the same clip with something changed."""
        return await self._video(_making(f"videos/{_of(video)}/remix", prompt, fields))

    async def extend(self, video: Video | str, prompt: str, *, seconds: float, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip that goes on, or that is led up to."""
        call = _making("videos/extensions", prompt, {"video": _one(video), "seconds": seconds} | fields)
        return await self._video(call)

    async def connect(self, video: Video | str, to: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for what leads from one clip to another."""
        return await self._video(_making("videos/connections", prompt, {"video": _one(video), "to": _one(to)} | fields))

    async def loop(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip without an end."""
        return await self._video(_making("videos/loops", prompt, {"video": _one(video)} | fields))

    async def retrieve(self, video: Video | str) -> Video:
        """How far a clip is."""
        return await self._video(Call("GET", f"videos/{_of(video)}"))

    async def list(self) -> AsyncIterator[Video]:
        """Every clip, the newest first."""
        after: str | None = None
        while True:
            page = (await self._send(_page(after))).json()
            for told in page["data"]:
                yield Video.of(told)
            after = page["last_id"]
            if not page["has_more"]:
                return

    async def events(self, video: Video | str) -> AsyncIterator[Video]:
        """The clip whenever something about it changes, until it is over; a connection that breaks is made again."""
        left = TRIES
        while True:
            try:
                async with self._http.stream("GET", f"videos/{_of(video)}/events", timeout=_EVENTS) as answer:
                    if not answer.is_success:
                        await answer.aread()
                    async for line in _checked(answer).aiter_lines():
                        if (seen := _event(line)) is not None:
                            left = TRIES
                            yield seen
            except httpx.TransportError as error:
                left -= 1
                if not left:
                    raise _unanswered(error) from error
                await asyncio.sleep(PAUSE)
            else:
                return

    async def wait(self, video: Video | str) -> Video:
        """The clip once it is over."""
        last = None
        async for last in self.events(video):  # noqa: B007  the last one counts
            pass
        return last or await self.retrieve(video)

    async def save(self, video: Video | str, path: Path | str, *, variant: str = "video") -> Path:
        """Write a clip, its thumbnail or its spritesheet to a file, and return its path."""
        with _whole(Path(path)) as file:
            async with self._http.stream("GET", f"videos/{_of(video)}/content", params={"variant": variant}) as answer:
                if not answer.is_success:
                    await answer.aread()
                async for piece in _checked(answer).aiter_bytes():
                    file.write(piece)
        return Path(path)

    async def delete(self, video: Video | str) -> None:
        """Stop a clip, and delete it with its files."""
        await self._send(Call("DELETE", f"videos/{_of(video)}"))

    async def _video(self, call: Call) -> Video:
        return Video.of((await self._send(call)).json())

    async def _send(self, call: Call) -> httpx.Response:
        answer, error = None, None
        for turn in range(TRIES):
            if turn:
                await asyncio.sleep(PAUSE * 2 ** (turn - 1))
            try:
                answer = await self._http.request(call.method, call.path, **call.options())
            except httpx.TransportError as failed:
                answer, error = None, failed
            if not _again(answer):
                break
        if answer is None:
            raise _unanswered(error) from error
        return _checked(answer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
