"""The ledger of an installation, wherever its settings say that it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinemark.errors import FailureError
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.records.ledger_postgres import LedgerDatabase

if TYPE_CHECKING:
    from kinemark.settings import Settings


def begin_ledger(settings: Settings) -> Ledger:
    """The ledger, to be written to; an empty one where there was none.

    Raises:
        FailureError: it is damaged, of a later version, or cannot be written.
    """
    if not settings.ledger:
        return Ledger.open(settings.ledger_path, create=True)
    made = LedgerDatabase.open(settings.ledger, create=True)
    assert made is not None
    return Ledger(made)


def find_ledger(settings: Settings) -> Ledger | None:
    """The ledger, if there is one: none is begun by looking.

    Raises:
        FailureError: it is damaged, of a later version, or does not answer.
    """
    if not settings.ledger:
        return Ledger.open(settings.ledger_path) if settings.ledger_path.is_file() else None
    found = LedgerDatabase.open(settings.ledger, create=False)
    return None if found is None else Ledger(found)


def require_ledger(settings: Settings) -> Ledger:
    """The ledger.

    Raises:
        FailureError: there is none; or as `find_ledger`.
    """
    found = find_ledger(settings)
    if found is None:
        raise FailureError(f"there is no ledger at {settings.ledger_name}; the first release makes it.")
    return found
