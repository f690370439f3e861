"""`kinemark connect`: lead from one clip to another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.sizes import Target


def connect(
    target: Target,
    first: Annotated[Path, typer.Argument(help="The clip that comes first.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="The clip that it leads to.", show_default=False)],
    prompt: Annotated[str, typer.Argument(help="What happens between; read from both if it is not said.")] = "",
    seconds: Annotated[float, typer.Option(help="How long that takes.")] = 4.0,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the first's")] = None,
) -> Request:
    """Lead from one clip to another; both are kept."""
    from kinemark.cli.reading import said_or_read_both
    from kinemark.conform import frames_in, give_video
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    gap, notes = frames_in(seconds, target.fps, "seconds")
    start = give_video(first, target, parse_size(size) if size else None)
    end = give_video(second, target, start.size)
    prompt, then, read = said_or_read_both(prompt, start, end)
    timeline = Timeline.connect(start.video_TCHW, end.video_TCHW, prompt, then=then, gap=gap, fps=target.fps)
    return Request(replace(timeline, sources=(first, second)), start.notes + end.notes + notes + read)
