"""Whom and what a model shows when nobody says: shares against a stated reference, and what never comes.

Somebody, or a classifier, labels clips of prompts that leave a thing open: a table with the columns prompt, attribute
and value, a line for each. A reference says what shares are expected, and of what world: attribute, value and share.
Which reference is right is not for a program to say; it is stated, so that whoever reads the report can disagree.
"""

from __future__ import annotations

import csv
import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kinemark.errors import RequestError
from kinemark.shares import Share

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LABELS: Final = ["prompt", "attribute", "value"]
_REFERENCE: Final = ["attribute", "value", "share"]
_DRAWS: Final = 2000
#: A value that was never seen counts as left out where chance leaves it out more rarely than this.
_CHANCE: Final = 0.05

Reference = dict[str, dict[str, float]]
"""Expected share of each value of each attribute; those of an attribute add up to 1."""


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody saw in a clip of a prompt that left it open."""

    prompt: str
    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Audited:
    """One attribute.

    Attributes:
        attribute: its name.
        n: labelled clips.
        seen: share of each value of the reference, and of those that it does not have.
        expected: the reference's shares.
        distance: total variation distance, 0 (as expected) to 1 (nothing in common).
        by_chance: the distance that 95 % of samples of this size stay below if the reference holds.
        left_out: values that never came although chance would leave them out in less than 5 % of such samples.
    """

    attribute: str
    n: int
    seen: dict[str, Share]
    expected: dict[str, float]
    distance: float
    by_chance: float
    left_out: tuple[str, ...]

    @property
    def skewed(self) -> bool:
        """Whether chance alone does not explain the distance."""
        return self.distance > self.by_chance


def audit(labels: Sequence[Label], reference: Reference, *, seed: int = 0) -> list[Audited]:
    """Compare what was seen with what is expected, for every attribute of the reference.

    Raises:
        RequestError: an attribute of the reference was never labelled.
    """
    found = []
    for attribute, expected in reference.items():
        counts = Counter(label.value for label in labels if label.attribute == attribute)
        n = counts.total()
        if not n:
            raise RequestError(f"no label is about {attribute!r}, which the reference expects")
        seen = {value: Share(counts[value], n) for value in {**expected, **counts}}
        rng = random.Random(f"{seed} {attribute}")
        values, weights = list(expected), list(expected.values())
        drawn = sorted(_distance(Counter(rng.choices(values, weights, k=n)), expected, n) for _ in range(_DRAWS))
        left_out = tuple(value for value, share in expected.items() if not counts[value] and (1 - share) ** n < _CHANCE)
        by_chance = drawn[math.ceil(0.95 * _DRAWS) - 1]
        found.append(Audited(attribute, n, seen, expected, _distance(counts, expected, n), by_chance, left_out))
    return found


def _distance(counts: Mapping[str, int], expected: Mapping[str, float], n: int) -> float:
    values = {*counts, *expected}
    return sum(abs(counts.get(value, 0) / n - expected.get(value, 0.0)) for value in values) / 2


def read_labels(path: Path) -> list[Label]:
    """Read a table of labels (CSV with a header).

    Raises:
        RequestError: it cannot be read, or a line is not a label.
    """
    return [Label(*row) for row in _rows(path, _LABELS)]


def read_reference(path: Path) -> Reference:
    """Read a reference (CSV with a header).

    Raises:
        RequestError: it cannot be read, a share is none, or those of an attribute do not add up to 1.
    """
    reference: Reference = {}
    for number, (attribute, value, share) in enumerate(_rows(path, _REFERENCE), 2):
        try:
            part = float(share)
        except ValueError:
            part = math.nan
        if not 0 < part <= 1:
            raise RequestError(f"{path}, line {number}: the share is {share!r}; give a number above 0, at most 1")
        reference.setdefault(attribute, {})[value] = part
    for attribute, shares in reference.items():
        if abs(sum(shares.values()) - 1) > 0.01:
            raise RequestError(f"{path}: the shares of {attribute!r} add up to {sum(shares.values()):.3f}, not to 1")
    return reference


def as_json(found: Sequence[Audited]) -> dict[str, Any]:
    """The audit as JSON values."""
    return {
        one.attribute: {
            "n": one.n,
            "distance": one.distance,
            "by_chance": one.by_chance,
            "skewed": one.skewed,
            "left_out": list(one.left_out),
            "values": {
                value: {"share": share.rate, "interval": share.interval, "expected": one.expected.get(value, 0.0)}
                for value, share in one.seen.items()
            },
        }
        for one in found
    }


def as_page(found: Sequence[Audited]) -> str:
    """The audit in Markdown."""
    lines = ["# Who and what is shown when nobody says", ""]
    for one in found:
        told = "more than chance explains" if one.skewed else "no more than chance explains"
        lines += [
            f"## {one.attribute[:1].upper()}{one.attribute[1:]}",
            "",
            (
                f"{one.n} clips. Distance from the reference {one.distance:.2f}, {told} ({one.by_chance:.2f}). "
                f"Left out: {', '.join(one.left_out) or 'nothing'}."
            ),
            "",
            "| value | seen | 95 % interval | expected |",
            "|---|---|---|---|",
        ]
        for value, share in sorted(one.seen.items(), key=lambda pair: -pair[1].hits):
            low, high = (100 * bound for bound in share.interval)
            expected = 100 * one.expected.get(value, 0.0)
            lines.append(f"| {value} | {100 * share.rate:.1f} % | {low:.1f} to {high:.1f} % | {expected:.1f} % |")
        lines.append("")
    return "\n".join(lines)


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"cannot read {path}: {error}; give a CSV with the columns {', '.join(columns)}") from error
    if not rows or rows[0] != list(columns):
        raise RequestError(f"{path} begins with {rows[:1]}; it begins with the columns {', '.join(columns)}")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(columns) or not all(field.strip() for field in row):
            raise RequestError(f"{path}, line {number} is {row}; give {', '.join(columns)}, none of them empty")
    return rows[1:]
