"""`kinemark extend`: continue a clip, or make up what led to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.sizes import Target


def extend(
    target: Target,
    clip: Annotated[Path, typer.Argument(help="The clip.", show_default=False)],
    prompt: Annotated[str, typer.Argument(help="What it shows; read from the clip if it is not said.")] = "",
    seconds: Annotated[float, typer.Option(help="How much is added.")] = 4.0,
    before: Annotated[bool, typer.Option("--before", help="Make up what led to the clip.")] = False,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the clip's")] = None,
) -> Request:
    """Continue a clip, or with --before make up what led to it; the clip itself is kept."""
    from kinemark.cli.reading import said_or_read
    from kinemark.conform import frames_in, give_video
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    frames, notes = frames_in(seconds, target.fps, "seconds")
    given = give_video(clip, target, parse_size(size) if size else None)
    prompt, read = said_or_read(prompt, given)
    added = {"before": frames} if before else {"after": frames}
    timeline = Timeline.extend(given.video_TCHW, prompt, **added, fps=target.fps)
    return Request(replace(timeline, sources=(clip,)), given.notes + notes + read)
