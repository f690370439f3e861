"""`kinemark image`: a picture from a sentence."""

from __future__ import annotations

from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.sizes import Target


def image(
    target: Target,
    prompt: Annotated[str, typer.Argument(help="What the picture shows.", show_default=False)],
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the model's")] = None,
) -> Request:
    """Make a marked and signed picture from a sentence: a clip of one frame, as PNG."""
    from kinemark.generate import parse_size
    from kinemark.timeline import Timeline

    return Request(Timeline.image(prompt, size=parse_size(size) if size else target.size))
