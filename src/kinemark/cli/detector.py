"""The command line of the detector alone (package `kinemark-verify`): verify and trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import typer

from kinemark.cli import run, trust, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

app: Final = typer.Typer(
    help="Did Kinemark make this? The detector alone.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command(name="verify")(verify.verify)
app.add_typer(trust.app, name="trust")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run it with these arguments (the process's own by default) and leave with an exit code."""
    run(app, args)
