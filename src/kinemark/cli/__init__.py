"""The command line: one verb a file, nothing heavy imported before a verb runs.

Exit codes: 0 done, 1 failure, 2 bad request, 3 refused, 130 interrupted. Messages go to stderr; with `--json`, a verb
prints one JSON object to stdout, also when it fails.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NoReturn

from kinemark.errors import KinemarkError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run `kinemark` with these arguments (the process's own by default) and leave with an exit code.

    What goes wrong is told in one message; `python -X dev -m kinemark ...` shows where.
    """
    from kinemark.cli.app import app

    run(app, args)


def run(app: typer.Typer, args: Sequence[str] | None) -> NoReturn:
    """Run an application so."""
    given = list(sys.argv[1:] if args is None else args)
    try:
        app(given, prog_name="kinemark")
    except KinemarkError as error:
        _tell(error, str(error), error.exit_code, given)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        message = f"Kinemark failed unexpectedly: {type(error).__name__}: {error}. Please report this."
        _tell(error, message, KinemarkError.exit_code, given)
    raise AssertionError("an app leaves by SystemExit")


def _tell(error: Exception, message: str, code: int, args: list[str]) -> NoReturn:
    print(f"kinemark: {message}", file=sys.stderr)
    if "--json" in args:
        verdict = error.decision.verdict() if isinstance(error, RefusedError) and error.decision.judgements else {}
        print(json.dumps({"error": message, "exit_code": code, **verdict}))
    raise SystemExit(code)
