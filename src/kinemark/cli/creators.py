"""`kinemark creators`: who opted out of, or into, having their style or likeness asked for."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from kinemark.safety.creators import Choice

app = typer.Typer(help="Whose style or likeness may be asked for by name.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="As prompts would write it.", show_default=False)]
Of = Annotated[str, typer.Option("--of", help="style or likeness.")]
Proof = Annotated[str, typer.Option(help="How it is known that it was them.", show_default=False)]


@app.command(name="opt-out")
def opt_out(name: Name, proof: Proof, of: Of = "style") -> None:
    """Enter that somebody does not want to be asked for by name."""
    _choose(name, of, "out", proof)


@app.command(name="opt-in")
def opt_in(name: Name, proof: Proof, of: Of = "style") -> None:
    """Enter that somebody agrees to be asked for by name."""
    _choose(name, of, "in", proof)


@app.command(name="list")
def list_(json: Json = False) -> None:
    """List the choices that hold."""
    from kinemark.safety.creators import choices
    from kinemark.settings import load_settings

    entered = choices(load_settings().creators_path)
    if json:
        print_json({"creators": [asdict(chosen) for chosen in entered]})
        return
    for chosen in entered:
        out().print(
            f"{chosen.time}  {chosen.choice:3}  {chosen.thing}  {chosen.name}  ({chosen.proof})", soft_wrap=True
        )
    if not entered:
        out().print("Nobody has opted out or in.")


def _choose(name: str, of: str, choice: Choice, proof: str) -> None:
    from kinemark.safety.creators import choose
    from kinemark.settings import load_settings

    if of not in ("style", "likeness"):
        raise RequestError(f"--of is {of!r}; it is style or likeness")
    chosen = choose(
        load_settings().creators_path,
        name,
        "style" if of == "style" else "likeness",
        choice,
        proof=proof,
        now=dt.datetime.now(dt.UTC),
    )
    done = "is not made any more" if choice == "out" else "may be asked for"
    out().print(f"{chosen.name}: their {chosen.thing} {done} by name, from now on.")
