"""`kinemark generate`: video from a sentence, or from a sentence and a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.sizes import Target


def generate(
    target: Target,
    prompt: Annotated[str, typer.Argument(help="What the clip shows.", show_default=False)],
    seconds: Annotated[float, typer.Option(help="Length, up to 60.")] = 4.0,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the model's")] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to animate: the first frame.")] = None,
    expand: Annotated[bool, typer.Option("--expand", help="Say the prompt at length first.")] = False,
) -> Request:
    """Make a marked and signed clip from a sentence."""
    from kinemark.conform import frames_in, give_picture
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    frames, notes = frames_in(seconds, target.fps, "seconds")
    wanted = parse_size(size) if size else None
    if image is None:
        size_hw = wanted or target.size
        timeline = Timeline.from_text(prompt, num_frames=frames, fps=target.fps, size=size_hw)
        return Request(timeline, notes, expand)
    given = give_picture(image, target, wanted)
    timeline = Timeline.from_image(given.video_TCHW[0], prompt, num_frames=frames, fps=target.fps)
    return Request(replace(timeline, sources=(image,)), given.notes + notes, expand)
