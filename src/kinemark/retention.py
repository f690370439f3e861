"""How long prompts, and words that people wrote, are kept: one setting, wherever they may lie.

Prompts are not written to logs, and the ledger holds only a commitment to them under a salt. What can hold one is the
manifest of a clip whose maker wanted the prompt in it, and what people write to the desk. After `retention_days` the
salts, those manifests and the words of decided cases are destroyed; that they were, and everything else, stays. Sealed
material is not touched: the law says how long that is kept.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinemark.provenance.records.manifests import forget
from kinemark.provenance.records.opening import find_ledger
from kinemark.safety.desk.cases import Desk

if TYPE_CHECKING:
    from kinemark.settings import Settings


@dataclass(frozen=True, slots=True)
class Swept:
    """How many releases lost what tied them to their prompt, and how many cases lost their words."""

    releases: int
    cases: int


def sweep(settings: Settings, *, now: dt.datetime) -> Swept:
    """Destroy what is older than the installation keeps it.

    Args:
        settings: where everything lies, and for how many days it is kept.
        now: what the age is measured from.

    Raises:
        FailureError: the ledger, a manifest or the desk cannot be changed.
    """
    before = now - dt.timedelta(days=settings.retention_days)
    return Swept(_releases(settings, before), _cases(settings, before))


def _releases(settings: Settings, before: dt.datetime) -> int:
    records = find_ledger(settings)
    if records is None:
        return 0
    with records as ledger:
        old = [
            entry
            for entry in ledger.entries()
            if entry.event == "release"
            and "prompt_commitment" in entry.body
            and dt.datetime.fromisoformat(entry.time) < before
            and not ledger.erased(entry.id)
        ]
        for entry in old:
            if entry.body.get("personal"):
                forget(settings.manifests_dir, entry.id)
            ledger.erase(entry.id)
    return len(old)


def _cases(settings: Settings, before: dt.datetime) -> int:
    if not settings.desk_path.is_file():
        return 0
    with Desk(settings.desk_path) as desk:
        return desk.forget(before)
