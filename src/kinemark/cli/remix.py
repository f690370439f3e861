"""`kinemark remix`: the same clip, with something changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.errors import RequestError
from kinemark.sizes import Target


def remix(
    target: Target,
    clip: Annotated[Path, typer.Argument(help="The clip.", show_default=False)],
    prompt: Annotated[str, typer.Argument(help="What it shows afterwards.", show_default=False)],
    strength: Annotated[str, typer.Option(help="How much may change: subtle, mild, strong, or 0 to 1.")] = "mild",
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="the clip's")] = None,
) -> Request:
    """Change a clip into what the prompt says."""
    from kinemark.conform import give_video
    from kinemark.generate import parse_size
    from kinemark.timeline import STRENGTHS, Timeline

    given = give_video(clip, target, parse_size(size) if size else None)
    timeline = Timeline.remix(given.video_TCHW, prompt, strength=_strength(strength, STRENGTHS), fps=target.fps)
    return Request(replace(timeline, sources=(clip,)), given.notes)


def _strength(text: str, names: dict[str, float]) -> str | float:
    if text in names:
        return text
    try:
        return float(text)
    except ValueError:
        raise RequestError(f"strength is {text!r}; use {', '.join(names)}, or a number from 0 to 1") from None
