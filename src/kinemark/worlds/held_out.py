"""The compositions that are never rendered for training, so that composing can be measured (`held_out.json`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pairs that no training clip shows: (subject, colour) and (subject, setting)."""

    subject_colour: frozenset[tuple[str, str]]
    subject_setting: frozenset[tuple[str, str]]


@cache
def load_held_out() -> HeldOut:
    """Read the record that ships with the package."""
    record = json.loads(files("kinemark.worlds").joinpath("held_out.json").read_text(encoding="utf-8"))
    return HeldOut(
        subject_colour=frozenset((kind, colour) for kind, colour in record["subject_colour"]),
        subject_setting=frozenset((kind, setting) for kind, setting in record["subject_setting"]),
    )
