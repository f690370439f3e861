"""A storyboard as a file: cards on a timeline, each with a text, a picture or a clip.

    size: 256x144          # WIDTHxHEIGHT; the model's if it is not said
    seconds: 12
    cards:
      - at: 0
        text: a red sailboat drifts right across the sea at noon
        image: first.png   # beside the board's file
      - at: 6
        text: a red sailboat drifts right across the sea at sunset
      - at: 10
        clip: harbour.mp4

A card's text holds until the next card with a text. Its picture is shown at its time, its clip from there on; what lies
between cards is made. Times that lie between two frames are taken to the nearest, and that is said.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path  # noqa: TC003  (pydantic reads the annotations)
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kinemark.conform import frames_in, give_picture, give_video
from kinemark.errors import RequestError
from kinemark.generate import parse_size
from kinemark.timeline import MAX_SECONDS, Card, Timeline

if TYPE_CHECKING:
    from kinemark.conform import Given
    from kinemark.sizes import Target


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Card(_Strict):
    at: Annotated[float, Field(ge=0, lt=MAX_SECONDS, allow_inf_nan=False)]
    text: str = ""
    image: Path | None = None
    clip: Path | None = None


class _Board(_Strict):
    seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
    size: str | None = None
    cards: Annotated[list[_Card], Field(min_length=1)]


def read_board(path: Path, target: Target) -> tuple[Timeline, tuple[str, ...]]:
    """The timeline of a board's file, and what a person has to be told about it.

    Raises:
        RequestError: the file cannot be read or says something else than the above; its cards contradict each other; or
            a picture or clip cannot be read.
    """
    board = _parsed(path)
    size = parse_size(board.size) if board.size else target.size
    frames, notes = frames_in(board.seconds, target.fps, "seconds")
    cards: list[Card] = []
    sources: list[Path] = []
    for number, card in enumerate(board.cards, 1):
        start, rounded = _frame(card.at, target.fps, number)
        given = _given(path.parent, card, target, size, number)
        notes += rounded
        if given:
            notes += given.notes
            sources.append(given.source)
        cards.append(Card(start, card.text.strip(), given.video_TCHW if given else None))
    _require_order(board, cards, target.fps)
    timeline = Timeline.storyboard(cards, num_frames=frames, fps=target.fps, size=size)
    return replace(timeline, sources=tuple(sources)), notes


def _parsed(path: Path) -> _Board:
    try:
        fields = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(fields, dict):
            raise RequestError(f"the board {path} holds no fields; it has seconds, size and cards")
        return _Board(**{str(name): value for name, value in fields.items()})
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read the board {path}: {error}") from error
    except yaml.YAMLError as error:
        raise RequestError(f"the board {path} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        raise RequestError(f"the board {path}: {where} is {first['input']!r}: {first['msg']}") from error


def _frame(at: float, fps: int, number: int) -> tuple[int, tuple[str, ...]]:
    frame = round(at * fps)
    if abs(frame - at * fps) < 1e-6:
        return frame, ()
    return frame, (f"card {number}: {at:g} s is taken as frame {frame} at {fps} a second: {frame / fps:g} s.",)


def _given(folder: Path, card: _Card, target: Target, size: tuple[int, int], number: int) -> Given | None:
    if card.image and card.clip:
        raise RequestError(f"card {number} has a picture and a clip; give them a card each")
    if not (card.text.strip() or card.image or card.clip):
        raise RequestError(f"card {number} has neither text nor picture nor clip; say what happens there")
    if card.image:
        return give_picture(folder / card.image, target, size)
    return give_video(folder / card.clip, target, size) if card.clip else None


def _require_order(board: _Board, cards: list[Card], fps: int) -> None:
    times = [card.start for card in cards]
    for number, card in enumerate(board.cards, 1):
        if card.at >= board.seconds:
            raise RequestError(f"card {number} at {card.at:g} s comes after the film's end at {board.seconds:g} s")
    for one, (before, after) in enumerate(pairwise(times), 1):
        if after <= before:
            raise RequestError(
                f"card {one + 1} at {board.cards[one].at:g} s does not come after card {one} at "
                f"{board.cards[one - 1].at:g} s; put them in order, at least {1 / fps:g} s apart"
            )
