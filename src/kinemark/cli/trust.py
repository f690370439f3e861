"""`kinemark trust`: whose files are recognised besides one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json

app = typer.Typer(help="Whose files are recognised besides this installation's own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What to call them.", show_default=False)]


@app.command()
def add(
    name: Name,
    root: Annotated[
        Path, typer.Argument(help="Their root certificate (PEM), or their kinemark.json.", show_default=False)
    ],
    time: Annotated[bool, typer.Option("--time", help="A time stamping authority: believe its times only.")] = False,
) -> None:
    """Recognise files that were signed under a root certificate. Compare its digest with the operator first."""
    from kinemark.provenance.signing import trust
    from kinemark.settings import load_settings

    added = trust.add(name, root, load_settings(), time=time)
    what = "Its time stamps are believed" if time else f"{added.name} is trusted"
    out().print(f"{what}. Root certificate: SHA-256 {added.digest}", soft_wrap=True)


@app.command()
def update(
    name: Name, revoked: Annotated[Path, typer.Argument(help="Their revocation list, PEM.", show_default=False)]
) -> None:
    """Take over an operator's list of withdrawn certificates (their revoked.crl)."""
    from kinemark.provenance.signing import trust
    from kinemark.settings import load_settings

    count = trust.update(name, revoked, load_settings())
    out().print(f"{name} has withdrawn {count} certificate{'' if count == 1 else 's'}.")


@app.command(name="list")
def list_(json: Json = False) -> None:
    """Show who is trusted."""
    from kinemark.provenance.signing import trust
    from kinemark.settings import load_settings

    found = trust.trusted(load_settings())
    if json:
        kinds = {True: "time_stamps", False: "operators"}
        said = {
            name: [{"name": one.name, "sha256": one.digest} for one in found if one.time == kind]
            for kind, name in kinds.items()
        }
        print_json(said)
        return
    for one in found:
        out().print(f"{one.name}  {'times only  ' if one.time else ''}SHA-256 {one.digest}", soft_wrap=True)
    if not found:
        out().print("Nobody was added.")


@app.command()
def remove(name: Name) -> None:
    """Recognise an operator's files no longer."""
    from kinemark.provenance.signing import trust
    from kinemark.settings import load_settings

    trust.remove(name, load_settings())
    out().print(f"{name} is not trusted any more.")
