"""Models that somebody serves: OpenAI-compatible endpoints, asked over HTTP, and how files name them."""

from __future__ import annotations

import base64
import io
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any, Final

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_MOST_BYTES: Final = 1 << 20
_QUALITY: Final = 90


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers.

    Attributes:
        url: up to and with `/v1`.
        model: as the endpoint names it.
        key: sent as a bearer token; empty for none.
        seconds: how long an answer may take; after that there is none.
    """

    url: str
    model: str
    key: str = ""
    seconds: float = 20.0

    def post(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401  (JSON)
        """What the endpoint answers.

        Raises:
            FailureError: it answers with an error, with something that is no JSON or far too long, or not at all.
        """
        try:
            import httpx
        except ImportError as error:
            raise FailureError("models that are served need httpx: pip install 'kinemark[classifiers]'") from error

        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            answer = httpx.post(
                f"{self.url.rstrip('/')}/{path}",
                json={"model": self.model, **body},
                headers=headers,
                timeout=self.seconds,
                follow_redirects=False,
            )
            answer.raise_for_status()
            if len(answer.content) > _MOST_BYTES:
                raise FailureError(f"the model at {self.url} answered {len(answer.content)} bytes")
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise FailureError(f"the model at {self.url} gave no answer: {type(error).__name__}") from error

    def reply(self, messages: list[dict[str, Any]], tokens: int) -> str:
        """What a chat model says to messages, in at most so many tokens, as likely as can be.

        Raises:
            FailureError: no answer, or one without a message.
        """
        answer = self.post("chat/completions", {"messages": messages, "temperature": 0, "max_tokens": tokens})
        try:
            return str(answer["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError) as error:
            raise FailureError(f"the model at {self.url} answered without a message") from error


class Strict(BaseModel):
    """Part of a file in which every name has to be known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Served(Strict):
    """An endpoint as a file names it; the first line of `key_file`, which lies beside that file, is the key."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    model: str
    key_file: Path | None = None
    seconds: Annotated[float, Field(gt=0, le=120)] = 20.0

    def endpoint(self, beside: Path) -> Endpoint:
        """The endpoint that is named by a file in the folder `beside`.

        Raises:
            OSError: the key cannot be read.
        """
        key = (beside / self.key_file).read_text("utf-8").split("\n")[0].strip() if self.key_file else ""
        return Endpoint(self.url, self.model, key, self.seconds)


def read_named(path: Path, what: str) -> str | None:
    """The text of a file in which an operator names models; None where there is no file.

    Raises:
        RequestError: it cannot be read; `what` says what it names.
    """
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read the {what} {path}: {error}") from error


@contextmanager
def requiring_use(path: Path, what: str) -> Iterator[None]:
    """Tell whoever wrote such a file what is wrong in it.

    Raises:
        RequestError: it is no TOML, says something unknown, or names a key that cannot be read.
    """
    try:
        yield
    except (tomllib.TOMLDecodeError, ValidationError, OSError, TypeError) as error:
        raise RequestError(f"the {what} {path} cannot be used: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def picture_part(frame_HWC: np.ndarray) -> dict[str, Any]:
    """A picture, RGB bytes `[H, W, 3]`, as a part of a message."""
    file = io.BytesIO()
    Image.fromarray(frame_HWC).save(file, "JPEG", quality=_QUALITY)
    url = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}
