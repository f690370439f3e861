"""`kinemark storyboard`: a film from cards on a timeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.making import Request
from kinemark.sizes import Target


def storyboard(
    target: Target,
    board: Annotated[Path, typer.Argument(help="A YAML file of cards; see docs/verbs.md.", show_default=False)],
) -> Request:
    """Make a film from a board: cards with a time, and a text, a picture or a clip each. Spacing is timing."""
    from kinemark.storyboard import read_board

    timeline, notes = read_board(board, target)
    return Request(timeline, notes)
