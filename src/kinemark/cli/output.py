"""What verbs print, and how."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]


def plain_app(summary: str, epilog: str | None = None) -> typer.Typer:
    """An application with plain help: rich's would take longer to import than the rest of a `--help` takes."""
    return typer.Typer(
        help=summary,
        epilog=epilog,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout."""
    print(json.dumps(value))


def write_text(path: Path, text: str) -> None:
    """Write what a verb was asked to put into a file, byte for byte.

    Raises:
        RequestError: the file cannot be written there.
    """
    try:
        path.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror or error}; choose another place") from error


def out() -> Console:
    """The console for answers. Text is shown as it is: no markup, no numbers coloured."""
    from rich.console import Console

    return Console(markup=False, highlight=False)


def err() -> Console:
    """The console for progress, which stays out of pipes."""
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False)
