"""`kinemark trust`: whose files are recognised besides one's own."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json

app = typer.Typer(help="Whose files are recognised besides this installation's own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What to call the operator.", show_default=False)]


@app.command()
def add(
    name: Name, root: Annotated[Path, typer.Argument(help="Their root certificate, PEM.", show_default=False)]
) -> None:
    """Recognise files that were signed under a root certificate. Compare its digest with the operator first."""
    from kinemark.provenance.trust import add_operator
    from kinemark.settings import load_settings

    added = add_operator(name, root, load_settings())
    out().print(f"{added.name} is trusted. Root certificate: SHA-256 {added.digest}", soft_wrap=True)


@app.command(name="list")
def list_(json: Json = False) -> None:
    """Show who is trusted."""
    from kinemark.provenance.trust import operators
    from kinemark.settings import load_settings

    found = operators(load_settings())
    if json:
        print_json({"operators": [{"name": operator.name, "sha256": operator.digest} for operator in found]})
        return
    for operator in found:
        out().print(f"{operator.name}  SHA-256 {operator.digest}", soft_wrap=True)
    if not found:
        out().print("Nobody was added.")


@app.command()
def remove(name: Name) -> None:
    """Recognise an operator's files no longer."""
    from kinemark.provenance.trust import remove_operator
    from kinemark.settings import load_settings

    remove_operator(name, load_settings())
    out().print(f"{name} is not trusted any more.")
