"""The fields of requests, checked: what the Videos API has, and what Kinemark adds. Unknown ones are ignored."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from kinemark.server.asks import Scene, Span  # noqa: TC001  pydantic reads them
from kinemark.server.problems import ProblemError
from kinemark.timeline import MAX_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_PROMPT: Final = 32_000
#: The longest side of what is delivered, whatever a model makes it at.
MOST_SIDE: Final = 1920
LEAST_SIDE: Final = 64
_SIZE: Final = re.compile(r"(\d{2,4})x(\d{2,4})")

Fields = TypeVar("Fields", bound=BaseModel)


def _size(text: object) -> tuple[int, int]:
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"is {text!r}; write WIDTHxHEIGHT, such as 1280x720")
    width, height = int(found[1]), int(found[2])
    if not all(LEAST_SIDE <= side <= MOST_SIDE for side in (width, height)) or width % 2 or height % 2:
        raise ValueError(f"is {text}; each side is an even number of {LEAST_SIDE} to {MOST_SIDE} pixels")
    return height, width


def _seconds(value: float) -> float:
    if not 0 < value <= MAX_SECONDS:
        raise ValueError(f"is {value:g}; a clip lasts more than 0 and at most {MAX_SECONDS} seconds")
    return value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; say what the clip shows")
    return value


def _in_order(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    times = [time for time, _ in points]
    if not 2 <= len(points) <= 64 or times != sorted(set(times)):
        raise ValueError(f"has the times {times}; give 2 to 64 points [time, share], each time once and in order")
    return points


Share = Annotated[float, Field(ge=0, le=1)]
Prompt = Annotated[str, Field(min_length=1, max_length=MOST_PROMPT), AfterValidator(_text)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
Seconds = Annotated[float, AfterValidator(_seconds)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class Common(BaseModel):
    """What every request for a clip may say beside."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    model: str | None = Field(default=None, max_length=128)
    negative_prompt: Annotated[str, Field(max_length=MOST_PROMPT)] = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    guidance: Annotated[float, Field(ge=0, le=20)] | None = None
    preview: bool = False
    priority: int = Field(default=0, ge=-10, le=10)
    metadata: Metadata | None = None


class CharacterField(BaseModel):
    """A person whom a request names."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=40)]


class CreateFields(Common):
    """Of POST /videos."""

    prompt: Prompt
    seconds: Seconds = 4.0
    size: Size = (1280, 720)
    input_reference: Any = None
    storyboard: tuple[Scene, ...] = Field(default=(), max_length=32)
    characters: tuple[CharacterField, ...] = Field(default=(), max_length=2)


class RemixFields(Common):
    """Of POST /videos/{id}/remix."""

    prompt: Prompt
    strength: str | float = "mild"


class EditFields(RemixFields):
    """Of POST /videos/edits."""

    video: Any


class ExtendFields(Common):
    """Of POST /videos/extensions."""

    prompt: Prompt
    seconds: Seconds
    video: Any
    before: bool = False


class ConnectFields(Common):
    """Of POST /videos/connections, which is Kinemark's own."""

    prompt: Prompt
    seconds: Seconds = 4.0
    video: Any
    to: Any


class LoopFields(Common):
    """Of POST /videos/loops, which is Kinemark's own."""

    prompt: Prompt
    seconds: Seconds = 1.0
    video: Any


class BlendFields(Common):
    """Of POST /videos/blends, which is Kinemark's own."""

    prompt: Prompt
    video: Any
    to: Any
    curve: Annotated[tuple[tuple[Share, Share], ...], AfterValidator(_in_order)] = ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0))


class RecutFields(Common):
    """Of POST /videos/recuts, which is Kinemark's own."""

    prompt: Prompt
    video: Any
    keep: tuple[Span, ...] = Field(min_length=1, max_length=32)
    seconds: Seconds | None = None


def checked(fields: type[Fields], sent: Mapping[str, Any]) -> Fields:
    """Fields of a request; in forms all values are text, which is read as what it stands for.

    Raises:
        ProblemError: 400, about the first field that is wrong.
    """
    try:
        return fields.model_validate(dict(sent))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"])) or "body"
        if first["type"] == "missing":
            raise ProblemError(400, f"{name} is missing", code="missing_required_parameter", param=name) from error
        said = first["msg"].removeprefix("Value error, ")
        shown = "" if said.startswith("is ") else f" ({str(first['input'])[:80]!r})"
        code = "invalid_type" if first["type"].endswith("_type") else "invalid_value"
        raise ProblemError(400, f"{name}{shown}: {said}", code=code, param=name) from error
