"""What goes to a server and what comes back: the same for both clients."""

from __future__ import annotations

import base64
import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import httpx

from kinemark.errors import KinemarkError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        more: what Kinemark adds: position, starts_in_seconds, eta_seconds, seed, made, credential, labels.
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


def making(path: str, prompt: str, fields: dict[str, Any]) -> Call:
    """A request for a clip, under a name of its own."""
    body = {"prompt": prompt, **{name: value for name, value in fields.items() if value is not None}}
    return Call("POST", path, body, headers={"Idempotency-Key": secrets.token_hex(16)})


def creating(prompt: str, image: Path | str | None, fields: dict[str, Any]) -> Call:
    """A request for a clip from a prompt, and from a picture that it begins with."""
    if image is not None:
        path = Path(image)
        kind = _KINDS.get(path.suffix.lower(), "image/png")
        data = base64.b64encode(path.read_bytes()).decode()
        fields = fields | {"input_reference": {"image_url": f"data:{kind};base64,{data}"}}
    return making("videos", prompt, fields)


def id_of(video: Video | str) -> str:
    """The id of a clip."""
    return video if isinstance(video, str) else video.id


def one(video: Video | str) -> dict[str, str]:
    """A clip as requests name it."""
    return {"id": id_of(video)}


def page(after: str | None) -> Call:
    """A page of the list of clips."""
    return Call("GET", "videos", query={"limit": 100} | ({"after": after} if after else {}))


def checked(answer: httpx.Response) -> httpx.Response:
    """An answer that is no error.

    Raises:
        ApiError: it is one.
    """
    if answer.is_success:
        return answer
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"the server answered {answer.status_code}"}
    raise ApiError(answer.status_code, error if isinstance(error, dict) else {"message": str(error)})


def again(answer: httpx.Response | None) -> bool:
    """Whether a request is worth sending again: nobody answered, or the server says that it cannot now."""
    return answer is None or (answer.status_code in (502, 503, 504) and answer.headers.get("x-should-retry") != "false")


def event(line: str) -> Video | None:
    """The clip of a line of server-sent events, if it has one."""
    if not line.startswith("data: "):
        return None
    told = json.loads(line.removeprefix("data: "))
    return Video.of(told) if told.get("object") == "video" else None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that is at its path once it was written whole, and not at all if it was not."""
    partial = Path(f"{path}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except httpx.TransportError as error:
        raise unanswered(error) from error
    finally:
        partial.unlink(missing_ok=True)


def unanswered(error: httpx.TransportError | None) -> ApiError:
    """The error of a request that nobody answered."""
    return ApiError(0, {"message": f"the server does not answer ({type(error).__name__}); see that it runs"})
