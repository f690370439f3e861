"""`kinemark blend`: two clips become one, along a curve."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.errors import RequestError
from kinemark.sizes import Target


def blend(
    target: Target,
    first: Annotated[Path, typer.Argument(help="The first clip.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="The second clip.", show_default=False)],
    prompt: Annotated[str, typer.Argument(help="What the blend shows; read from both if it is not said.")] = "",
    curve: Annotated[
        str, typer.Option(help="Share of the first over time, 0 to 1 each: TIME:SHARE,TIME:SHARE...")
    ] = "0:1,0.5:0.5,1:0",
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the first's")] = None,
) -> Request:
    """Blend two clips into one; where the curve is at 1 or 0, one of them is kept as it is."""
    from kinemark.cli.reading import said_or_read_both
    from kinemark.conform import give_video, share_at
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    points = parse_curve(curve)
    start = give_video(first, target, parse_size(size) if size else None)
    end = give_video(second, target, start.size)
    frames = min(start.frames, end.frames)
    notes = start.notes + end.notes
    if start.frames != end.frames:
        notes += (f"The clips last {start.frames} and {end.frames} frames; the first {frames} of each are blended.",)
    prompt, then, read = said_or_read_both(prompt, start, end)
    shares = [share_at(points, t / max(1, frames - 1)) for t in range(frames)]
    from_TCHW, to_TCHW = start.video_TCHW[:frames], end.video_TCHW[:frames]
    timeline = Timeline.blend(from_TCHW, to_TCHW, prompt, then=then, curve=shares, fps=target.fps)
    return Request(replace(timeline, sources=(first, second)), notes + read)


def parse_curve(text: str) -> list[tuple[float, float]]:
    """Points (time, share), in the order of time, from text such as "0:1,0.5:0.5,1:0".

    Raises:
        RequestError: the text says something else.
    """
    points = []
    for part in text.split(","):
        time, colon, share = part.partition(":")
        try:
            point = float(time), float(share)
        except ValueError:
            point = (math.nan, math.nan)
        if not colon or not all(0 <= value <= 1 for value in point):
            raise RequestError(
                f"the curve has a point {part!r}; write TIME:SHARE with numbers from 0 to 1, such as 0:1,0.5:0.5,1:0"
            )
        points.append(point)
    times = [time for time, _ in points]
    if times != sorted(set(times)):
        raise RequestError(f"the curve's times are {times}; give each once, and in order")
    return points
