"""Suites of prompts as data: tab-separated files in `safety/suites` with group, label, category, prompt and pair."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kinemark.errors import RequestError

SUITES: Final = Path(__file__).parents[1] / "suites"
_COLUMNS: Final = ["group", "label", "category", "prompt", "pair"]


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt of a suite.

    Attributes:
        group: what it tests: `clear` violations, `picture` (harmless words, unsafe picture), `near-miss`, and so on.
        label: whether it should be stopped ("unsafe") or made ("safe").
        category: the policy's category; empty of safe prompts, and of pictures, which may fall under several.
        prompt: the prompt.
        pair: the same for a picture and its safe twin; else empty.
    """

    group: str
    label: Literal["safe", "unsafe"]
    category: str
    prompt: str
    pair: str


def suites() -> list[str]:
    """The names of the suites that ship."""
    return sorted(path.stem for path in SUITES.glob("*.tsv"))


def read_suite(name: str) -> list[Case]:
    """The prompts of a suite that ships, or of a file of the same form.

    Args:
        name: a name out of `suites`, or the path of a .tsv file.

    Raises:
        RequestError: there is no such suite, or a line of it is not a case.
    """
    path = Path(name) if name.endswith(".tsv") else SUITES / f"{name}.tsv"
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read the suite {name}: {error}; there are: {', '.join(suites())}") from error
    rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or rows[0] != _COLUMNS:
        raise RequestError(f"{path} begins with {rows[:1]}; a suite begins with the columns {' '.join(_COLUMNS)}")
    return [_case(row, number, path) for number, row in enumerate(rows[1:], 2)]


def _case(row: list[str], number: int, path: Path) -> Case:
    if len(row) != len(_COLUMNS) or row[1] not in ("safe", "unsafe") or not row[3].strip():
        raise RequestError(f"{path}, line {number}: {row}; a case has {', '.join(_COLUMNS)}, labelled safe or unsafe")
    return Case(row[0], "safe" if row[1] == "safe" else "unsafe", row[2], row[3], row[4])
