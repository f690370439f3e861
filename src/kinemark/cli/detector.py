"""The command line of the detector alone (package `kinemark-verify`): verify and trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from kinemark.cli import run, trust, verify
from kinemark.cli.output import plain_app

if TYPE_CHECKING:
    from collections.abc import Sequence

app: Final = plain_app("Did Kinemark make this? The detector alone.")
app.command(name="verify")(verify.verify)
app.add_typer(trust.app, name="trust")


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run it with these arguments (the process's own by default) and leave with an exit code."""
    run(app, args)
