"""`kinemark recut`: keep the best of a clip, and have the rest made anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.making import Request
from kinemark.errors import RequestError
from kinemark.sizes import Target

if TYPE_CHECKING:
    from kinemark.timeline import Kept


def recut(
    target: Target,
    clip: Annotated[Path, typer.Argument(help="The clip.", show_default=False)],
    keep: Annotated[list[str], typer.Option(help="Seconds START-END[@AT] to keep; repeatable.", show_default=False)],
    prompt: Annotated[str, typer.Argument(help="What it shows; read from the clip if it is not said.")] = "",
    seconds: Annotated[float | None, typer.Option(help="Length afterwards.", show_default="the clip's")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the clip's")] = None,
) -> Request:
    """Keep parts of a clip and have what lies between, before and after them made.

    A part stays where it is, moved so that the first one begins the clip; @AT says where it begins instead.
    """
    from kinemark.cli.reading import said_or_read
    from kinemark.conform import frames_in, give_video
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    given = give_video(clip, target, parse_size(size) if size else None)
    length = given.frames / target.fps if seconds is None else seconds
    frames, notes = frames_in(length, target.fps, "seconds")
    kept = parse_kept(keep, target.fps)
    prompt, read = said_or_read(prompt, given)
    timeline = Timeline.recut(given.video_TCHW, prompt, kept=kept, num_frames=frames, fps=target.fps)
    return Request(replace(timeline, sources=(clip,)), given.notes + notes + read)


def parse_kept(texts: list[str], fps: int) -> list[Kept]:
    """Spans to keep from texts such as "0.5-2.0" or "0.5-2.0@1", in frames.

    Raises:
        RequestError: a text says something else, or times that lie between frames.
    """
    from kinemark.timeline import Kept

    spans = []
    for text in texts:
        span, _, at = text.partition("@")
        start, dash, stop = span.partition("-")
        if not dash:
            raise RequestError(f"--keep is {text!r}; write START-END in seconds, such as 0.5-2.0, or 0.5-2.0@1")
        spans.append((_frame(start, fps, text), _frame(stop, fps, text), _frame(at, fps, text) if at else None))
    first = min(start for start, _, _ in spans)
    return [Kept(start, stop, start - first if at is None else at) for start, stop, at in spans]


def _frame(seconds: str, fps: int, text: str) -> int:
    try:
        frame = float(seconds) * fps
    except ValueError:
        raise RequestError(f"--keep is {text!r}: {seconds!r} is no number of seconds") from None
    if not 0 <= frame < 1e6 or abs(frame - round(frame)) > 1e-6:
        near = max(0, round(min(frame, 1e6))) / fps if frame == frame else 0
        raise RequestError(
            f"--keep is {text!r}: {seconds} s is not the time of a frame; a frame lasts {1 / fps:g} s, write {near:g}"
        )
    return round(frame)
