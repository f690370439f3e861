"""`kinemark loop`: a clip that never ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.sizes import Target


def loop(
    target: Target,
    clip: Annotated[Path, typer.Argument(help="The clip.", show_default=False)],
    prompt: Annotated[str, typer.Argument(help="What it shows; read from the clip if it is not said.")] = "",
    seam: Annotated[float, typer.Option(help="Seconds that lead from its end to its beginning.")] = 1.0,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the clip's")] = None,
) -> Request:
    """Make a clip endless: what leads from its end to its beginning is made, and the file begins in its middle."""
    from kinemark.cli.reading import said_or_read
    from kinemark.conform import frames_in, give_video
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    frames, notes = frames_in(seam, target.fps, "seam")
    given = give_video(clip, target, parse_size(size) if size else None)
    prompt, read = said_or_read(prompt, given)
    timeline = Timeline.loop(given.video_TCHW, prompt, seam=frames, fps=target.fps)
    return Request(replace(timeline, sources=(clip,)), given.notes + notes + read)
