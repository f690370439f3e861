"""`kinemark sealed`: suspected material, for the operator's legal route and nobody else."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

app = typer.Typer(help="Suspected material, kept for the legal route alone.", no_args_is_help=True)


@app.command(name="list")
def list_(json: Json = False) -> None:
    """Say what is sealed since when, and who opened it. There is no preview."""
    from kinemark.safety.seal import sealed
    from kinemark.settings import load_settings

    found = sealed(load_settings().sealed_dir)
    if json:
        print_json({"sealed": [asdict(one) for one in found]})
        return
    for one in found:
        opened = "; ".join(one.opened) or "never opened"
        out().print(f"{one.id}  {one.time}  rule {one.rule}  {one.size} bytes  {opened}", soft_wrap=True)
    if not found:
        out().print("Nothing is sealed.")


@app.command()
def export(
    id_: Annotated[str, typer.Argument(metavar="ID", help="What is sealed.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who opens it.", show_default=False)],
    to: Annotated[str, typer.Option(help="The authority or counsel, with their reference.", show_default=False)],
) -> None:
    """Write sealed material to a file for an authority. That it was opened is recorded."""
    from kinemark.safety.seal import open_sealed
    from kinemark.settings import load_settings

    if output.exists():
        raise RequestError(f"{output} exists; choose another name")
    material = open_sealed(load_settings().sealed_dir, id_, by=by, to=to, now=dt.datetime.now(dt.UTC))
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(material)
    except OSError as error:
        raise RequestError(f"cannot write {output}: {error.strerror}; choose another place") from error
    out().print(f"{id_} was opened by {by} for {to}.", soft_wrap=True)
