"""`kinemark verify`: did Kinemark make this?"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json


def verify(
    path: Annotated[Path, typer.Argument(help="A video, or a picture taken from one.", show_default=False)],
    json: Json = False,
) -> None:
    """Look at a file for every signal that Kinemark leaves, and say what each one found.

    Whatever the answer is, the exit code is 0: the question was answered.
    """
    from kinemark.provenance.detect import verify as look
    from kinemark.settings import load_settings

    verification = look(path, load_settings())
    if json:
        print_json(verification.to_dict())
        return
    console = out()
    console.print(verification.summary, style="bold")
    for finding in verification.findings:
        about = f" [{finding.id}]" if finding.id else ""
        says = finding.detail.get("says", "")
        console.print(f"  {finding.signal:<12} {finding.verdict:<8} {says}{about}")
