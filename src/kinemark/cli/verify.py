"""`kinemark verify`: did Kinemark make this?"""

from __future__ import annotations

import csv
import json as json_format
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kinemark.cli.output import Json, err, out, print_json, write_text
from kinemark.errors import KinemarkError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS: Final = ("path", "made_by", "recognised", "id", "forged", "summary", "error")


def verify(
    path: Annotated[Path, typer.Argument(help="A video, a picture, a folder, or a report.", show_default=False)],
    report: Annotated[Path | None, typer.Option(help="Write a signed HTML report on the file.")] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="Write a folder's answers to this file.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes for a folder.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Do not search cropped and turned copies.")] = False,
    resolve: Annotated[
        bool, typer.Option("--resolve", help="Ask added operators for lost credentials; sends the clip's ISCC code.")
    ] = False,
    json: Json = False,
) -> None:
    """Look at a file for every signal that Kinemark leaves, and say what each one found.

    Whatever the answer is, the exit code is 0: the question was answered. A folder's files are all looked at, and what
    cannot be read is a row with an error.
    """
    if path.is_dir():
        if report is not None:
            raise RequestError(f"{path} is a folder; --report is about one file, --csv about a folder")
        if resolve:
            raise RequestError(f"{path} is a folder; --resolve is about one file")
        _folder(path, table, jobs, quick=quick, json=json)
    elif table is not None:
        raise RequestError(f"{path} is a file; --csv is about a folder, --report about one file")
    elif path.suffix.lower() in {".html", ".htm"}:
        _check(path, json=json)
    else:
        _file(path, report, quick=quick, resolve=resolve, json=json)


def _file(path: Path, report: Path | None, *, quick: bool, resolve: bool, json: bool) -> None:
    from kinemark.provenance.detect import ask_operators
    from kinemark.provenance.detect import verify as look
    from kinemark.settings import load_settings

    settings = load_settings()
    verification = look(path, settings, quick=quick)
    if resolve:
        verification = ask_operators(verification, settings)
    if report is not None:
        from kinemark.provenance import evidence
        from kinemark.provenance.signing.keys import require_keys

        if report.suffix.lower() not in {".html", ".htm"}:
            raise RequestError(f"the report is to be named {report.name!r}; it is a page, so give it the ending .html")
        write_text(report, evidence.report(verification, require_keys(settings.keys_dir)))
    if json:
        print_json(verification.to_dict())
        return
    console = out()
    console.print(verification.summary, style="bold")
    for finding in verification.findings:
        says = finding.detail.get("says", "")
        console.print(f"  {finding.signal:<12} {finding.verdict:<8} {says}")


def _check(path: Path, *, json: bool) -> None:
    """A report, not footage: is it as it was signed?"""
    from kinemark.provenance.evidence import check_report

    if not path.is_file():
        raise RequestError(f"{path} does not exist; check the name.")
    checked = check_report(path)
    if json:
        print_json({"intact": checked.intact, "signer": checked.signer, "content": checked.content})
        return
    word = "as it was signed" if checked.intact else "NOT as it was signed: do not rely on it"
    out().print(f"This report is {word}. Root certificate of the signer: SHA-256 {checked.signer}.", soft_wrap=True)


def _folder(folder: Path, table: Path | None, jobs: int, *, quick: bool, json: bool) -> None:
    from kinemark.data.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    if jobs < 1:
        raise RequestError(f"jobs is {jobs}; give at least 1")
    known = {*VIDEO_SUFFIXES, *IMAGE_SUFFIXES}
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in known and file.is_file())
    if not files:
        raise RequestError(f"{folder} holds no video or picture (known: {', '.join(sorted(known))})")
    rows = []
    for row in _answers(files, jobs, quick=quick):
        rows.append(row)
        if not json:
            said = row["error"] or row["summary"].partition(".")[0]
            err().print(f"{len(rows)}/{len(files)}  {row['path']}: {said}", soft_wrap=True)
    if table is not None:
        write_text(table, _table(rows))
    if json:
        print_json({"files": rows})
    else:
        made = sum(bool(row["recognised"]) for row in rows)
        failed = sum(bool(row["error"]) for row in rows)
        out().print(f"{len(rows)} files: {made} recognised, {failed} not readable.")


def _answers(files: list[Path], jobs: int, *, quick: bool) -> Iterator[dict[str, Any]]:
    """One row a file, in order; in processes of their own, so that no file can take the others down."""
    with ProcessPoolExecutor(jobs) if jobs > 1 else nullcontext() as pool:
        yield from (pool.map if pool else map)(_answer, files, [quick] * len(files))


def _answer(path: Path, quick: bool) -> dict[str, Any]:
    from kinemark.provenance.detect import verify as look

    row: dict[str, Any] = dict.fromkeys(COLUMNS, "") | {"path": str(path)}
    try:
        found = look(path, quick=quick)
    except KinemarkError as error:
        return row | {"error": str(error)}
    except OSError as error:
        return row | {"error": f"cannot be read: {error.strerror or error}"}
    return row | {
        "made_by": found.made_by or "",
        "recognised": found.recognised,
        "id": found.id or "",
        "forged": found.forged,
        "summary": found.summary,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """CSV (RFC 4180); a cell that a spreadsheet would run as a formula begins with an apostrophe."""
    from io import StringIO

    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_harmless(row[column]) for column in COLUMNS])
    return text.getvalue()


def _harmless(value: object) -> str:
    text = value if isinstance(value, str) else json_format.dumps(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
