"""`kinemark blocklist`: hashes of what nothing is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

app = typer.Typer(help="Hashes of files and pictures that nothing is made from.", no_args_is_help=True)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="Text, a hash a line: md5, sha1, sha256: or pdq:.", show_default=False)],
    json: Json = False,
) -> None:
    """Add a list."""
    from kinemark.safety.blocklist import Blocklist
    from kinemark.settings import load_settings

    try:
        with file.open(encoding="ascii") as lines:
            added = Blocklist(load_settings().blocklist_dir).add(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read {file}: {error}; give a text file with a hash a line") from error
    if json:
        print_json({"added": added})
        return
    said = ", ".join(f"{count} {kind}" for kind, count in added.items())
    out().print(f"New: {said or 'none; the file holds no hash'}.")


@app.command()
def count(json: Json = False) -> None:
    """Say how many hashes there are."""
    from kinemark.safety.blocklist import Blocklist
    from kinemark.settings import load_settings

    counts = Blocklist(load_settings().blocklist_dir).counts()
    if json:
        print_json(counts)
        return
    for kind, number in counts.items():
        out().print(f"{kind}: {number}")
