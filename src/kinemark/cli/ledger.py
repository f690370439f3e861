"""`kinemark ledger`: what was released, whether the record is whole, and how to take a prompt's trace out of it."""

from __future__ import annotations

import datetime as dt
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.output import Json, err, out, print_json, write_text
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from kinemark.provenance.records.ledger import Ledger

app = typer.Typer(help="The record of everything that was released here.", no_args_is_help=True)

Witness = Annotated[Path, typer.Option(help="The witness's own folder.", show_default=False)]


@app.command()
def verify(
    witness: Annotated[Path | None, typer.Option(help="Compare with what this witness saw.")] = None,
    json: Json = False,
) -> None:
    """Check every entry, the chain, and the file itself. The exit code is 1 if anything is damaged; it is named."""
    from kinemark.provenance.records import merkle
    from kinemark.provenance.records.witness import check

    with _opened() as ledger:
        damages = [f"entry {damage.seq} (id {damage.id}): {damage.reason}" for damage in ledger.verify_chain()]
        leaves = ledger.digests()
    damages += check(leaves, witness) if witness else []
    head = merkle.root(leaves).hex()
    if json:
        print_json({"entries": len(leaves), "root": head, "damages": damages})
    else:
        for damage in damages:
            out().print(damage, soft_wrap=True)
        out().print(f"{len(leaves)} entries, Merkle root {head}: {'DAMAGED' if damages else 'whole'}", soft_wrap=True)
    if damages:
        raise typer.Exit(1)


@app.command()
def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write.", show_default="stdout")
    ] = None,
) -> None:
    """Write every entry as a line of JSON. Salts stay behind: nobody can test a guess at a prompt against it."""
    with _opened() as ledger:
        lines = [json_format.dumps(entry.to_dict()) for entry in ledger.entries()]
    text = "".join(line + "\n" for line in lines)
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)


@app.command()
def find(
    clip: Annotated[Path, typer.Argument(help="A video or a picture.", show_default=False)],
    manifest: Annotated[
        Path | None, typer.Option(metavar="OUT.c2pa", help="Write the credentials that the clip left with.")
    ] = None,
    json: Json = False,
) -> None:
    """Find the entry of a clip: by the id that its pixels carry, or by likeness."""
    from kinemark.provenance.detect import verify as look
    from kinemark.provenance.findings import confirmed_id
    from kinemark.settings import load_settings

    found = look(clip, load_settings())
    ids = {finding.signal: finding.id for finding in found.findings if finding.id and finding.verdict != "forged"}
    with _opened() as ledger:
        entries = {signal: ledger.find(id_) for signal, id_ in ids.items()}
        if manifest is not None:
            _write_manifest(ledger, confirmed_id(found.findings), manifest)
    known = {signal: entry.to_dict() for signal, entry in entries.items() if entry}
    if json:
        print_json({"entries": known})
        return
    for signal, entry in known.items():
        out().print(f"{signal}: entry {entry['seq']}, id {entry['id']}, entered {entry['time']}", soft_wrap=True)
    if not known:
        out().print("No entry.")


def _write_manifest(ledger: Ledger, id_: str | None, path: Path) -> None:
    from kinemark.provenance.records.manifests import kept
    from kinemark.settings import load_settings

    entry = ledger.find(id_) if id_ else None
    content = kept(load_settings().manifests_dir, entry) if entry else None
    if content is None:
        why = (
            "was erased, or is not kept here" if entry else "is not sure: its pixels must carry a clip's id and show it"
        )
        raise RequestError(f"no credentials were written: the clip's manifest {why}")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
    err().print(f"{path}: the credentials that clip {id_} left with", soft_wrap=True)


@app.command(name="witness")
def witness_(state: Witness) -> None:
    """Check the history against all that this witness saw before, and remember it. Run it as another user."""
    from kinemark.provenance.records.witness import watch

    with _opened() as ledger:
        head = watch(ledger.digests(), state)
    out().print(f"Witnessed {head.size} entries, Merkle root {head.root}.", soft_wrap=True)


@app.command()
def erase(id_: Annotated[str, typer.Argument(metavar="ID", help="The clip's id.", show_default=False)]) -> None:
    """Destroy what ties a clip's entry to its prompt, and its manifest. The entry and the chain stay, and say so."""
    from kinemark.provenance.records.manifests import forget
    from kinemark.settings import load_settings

    with _opened() as ledger:
        if ledger.find(id_) is None:
            raise RequestError(f"the ledger has no release with the id {id_!r}; ids have eight hexadecimal digits")
        if ledger.erased(id_):
            raise RequestError(f"{id_} was erased already")
        forget(load_settings().manifests_dir, id_)
        ledger.erase(id_)
    out().print(f"{id_} is erased: its prompt's commitment can never be opened again, and its manifest is gone.")


@app.command(name="except")
def except_(
    what: Annotated[str, typer.Argument(help="photoreal-without-classifier", show_default=False)],
    reason: Annotated[str, typer.Argument(help="Why; everybody who reads the ledger reads this.", show_default=False)],
    by: Annotated[str, typer.Option(help="Who takes it upon themselves.", show_default=False)],
) -> None:
    """Sign an exception into the ledger. It can be seen by everybody, and is never removed."""
    from kinemark.provenance.records.exceptions import sign_exception
    from kinemark.provenance.records.opening import begin_ledger
    from kinemark.provenance.signing.keys import require_keys
    from kinemark.settings import load_settings

    if what != "photoreal-without-classifier":
        raise RequestError(f"there is no exception {what!r}; there is photoreal-without-classifier")
    settings = load_settings()
    keys = require_keys(settings.keys_dir)
    with begin_ledger(settings) as ledger:
        entry = sign_exception(
            ledger, keys, "photoreal-without-classifier", by=by, reason=reason, now=dt.datetime.now(dt.UTC)
        )
    out().print(f"Entry {entry.seq}: {what}, by {by}.", soft_wrap=True)


def _opened() -> Ledger:
    from kinemark.provenance.records.opening import require_ledger
    from kinemark.settings import load_settings

    return require_ledger(load_settings())
