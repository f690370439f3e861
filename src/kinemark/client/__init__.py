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
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from kinemark.client.calls import (
    ApiError,
    Call,
    Video,
    again,
    checked,
    creating,
    event,
    id_of,
    making,
    one,
    page,
    unanswered,
    whole_file,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from types import TracebackType

__all__ = ["ApiError", "AsyncClient", "Client", "Video"]

TRIES: Final = 3
#: Seconds before the second try; twice as many before each further one.
PAUSE: Final = 0.5
#: Silence is broken by the server every 15 seconds.
_EVENTS: Final = httpx.Timeout(60)


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
        return self._video(creating(prompt, image, fields))

    def remix(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for the same clip with something changed."""
        return self._video(making(f"videos/{id_of(video)}/remix", prompt, fields))

    def extend(self, video: Video | str, prompt: str, *, seconds: float, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip that goes on, or with before=True for one that is led up to."""
        return self._video(making("videos/extensions", prompt, {"video": one(video), "seconds": seconds} | fields))

    def connect(self, video: Video | str, to: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for what leads from one clip to another."""
        return self._video(making("videos/connections", prompt, {"video": one(video), "to": one(to)} | fields))

    def blend(self, video: Video | str, to: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for two clips that become one, along a curve."""
        return self._video(making("videos/blends", prompt, {"video": one(video), "to": one(to)} | fields))

    def recut(self, video: Video | str, prompt: str, *, keep: Sequence[dict[str, float]], **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip of which parts are kept (`start`, `end`, `at`, in seconds), and the rest is made anew."""
        return self._video(making("videos/recuts", prompt, {"video": one(video), "keep": list(keep)} | fields))

    def loop(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip without an end."""
        return self._video(making("videos/loops", prompt, {"video": one(video)} | fields))

    def retrieve(self, video: Video | str) -> Video:
        """How far a clip is."""
        return self._video(Call("GET", f"videos/{id_of(video)}"))

    def list(self) -> Iterator[Video]:
        """Every clip, the newest first."""
        after: str | None = None
        while True:
            found = self._send(page(after)).json()
            yield from map(Video.of, found["data"])
            after = found["last_id"]
            if not found["has_more"]:
                return

    def events(self, video: Video | str) -> Iterator[Video]:
        """The clip whenever something about it changes, until it is over; a connection that breaks is made again."""
        left = TRIES
        while True:
            try:
                with self._http.stream("GET", f"videos/{id_of(video)}/events", timeout=_EVENTS) as answer:
                    if not answer.is_success:
                        answer.read()
                    for line in checked(answer).iter_lines():
                        if (seen := event(line)) is not None:
                            left = TRIES
                            yield seen
            except httpx.TransportError as error:
                left -= 1
                if not left:
                    raise unanswered(error) from error
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
        where = f"videos/{id_of(video)}/content"
        with whole_file(Path(path)) as file, self._http.stream("GET", where, params={"variant": variant}) as answer:
            if not answer.is_success:
                answer.read()
            for piece in checked(answer).iter_bytes():
                file.write(piece)
        return Path(path)

    def delete(self, video: Video | str) -> None:
        """Stop a clip, and delete it with its files."""
        self._send(Call("DELETE", f"videos/{id_of(video)}"))

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
            if not again(answer):
                break
        if answer is None:
            raise unanswered(error) from error
        return checked(answer)

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
        return await self._video(creating(prompt, image, fields))

    async def remix(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for the same clip with something changed."""
        return await self._video(making(f"videos/{id_of(video)}/remix", prompt, fields))

    async def extend(self, video: Video | str, prompt: str, *, seconds: float, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip that goes on, or that is led up to."""
        call = making("videos/extensions", prompt, {"video": one(video), "seconds": seconds} | fields)
        return await self._video(call)

    async def connect(self, video: Video | str, to: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for what leads from one clip to another."""
        return await self._video(making("videos/connections", prompt, {"video": one(video), "to": one(to)} | fields))

    async def blend(self, video: Video | str, to: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for two clips that become one, along a curve."""
        return await self._video(making("videos/blends", prompt, {"video": one(video), "to": one(to)} | fields))

    async def recut(self, video: Video | str, prompt: str, *, keep: Sequence[dict[str, float]], **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip of which parts are kept (`start`, `end`, `at`, in seconds), and the rest is made anew."""
        return await self._video(making("videos/recuts", prompt, {"video": one(video), "keep": list(keep)} | fields))

    async def loop(self, video: Video | str, prompt: str, **fields: Any) -> Video:  # noqa: ANN401
        """Ask for a clip without an end."""
        return await self._video(making("videos/loops", prompt, {"video": one(video)} | fields))

    async def retrieve(self, video: Video | str) -> Video:
        """How far a clip is."""
        return await self._video(Call("GET", f"videos/{id_of(video)}"))

    async def list(self) -> AsyncIterator[Video]:
        """Every clip, the newest first."""
        after: str | None = None
        while True:
            found = (await self._send(page(after))).json()
            for told in found["data"]:
                yield Video.of(told)
            after = found["last_id"]
            if not found["has_more"]:
                return

    async def events(self, video: Video | str) -> AsyncIterator[Video]:
        """The clip whenever something about it changes, until it is over; a connection that breaks is made again."""
        left = TRIES
        while True:
            try:
                async with self._http.stream("GET", f"videos/{id_of(video)}/events", timeout=_EVENTS) as answer:
                    if not answer.is_success:
                        await answer.aread()
                    async for line in checked(answer).aiter_lines():
                        if (seen := event(line)) is not None:
                            left = TRIES
                            yield seen
            except httpx.TransportError as error:
                left -= 1
                if not left:
                    raise unanswered(error) from error
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
        with whole_file(Path(path)) as file:
            async with self._http.stream(
                "GET", f"videos/{id_of(video)}/content", params={"variant": variant}
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                async for piece in checked(answer).aiter_bytes():
                    file.write(piece)
        return Path(path)

    async def delete(self, video: Video | str) -> None:
        """Stop a clip, and delete it with its files."""
        await self._send(Call("DELETE", f"videos/{id_of(video)}"))

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
            if not again(answer):
                break
        if answer is None:
            raise unanswered(error) from error
        return checked(answer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
