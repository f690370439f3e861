"""Everything that Kinemark raises on purpose.

    KinemarkError                exit code 1
    ├── RequestError             exit code 2: what was asked cannot be done as asked
    ├── RefusedError             exit code 3: a gate said no; carries the Decision
    └── FailureError             exit code 1: the machine, a key, a file or the ledger let us down

A message says what was wrong, with the value; what is allowed; and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinemark.safety.decision import Decision


class KinemarkError(Exception):
    """The root of every error raised on purpose; the command line shows its message without a traceback."""

    exit_code = 1


class RequestError(KinemarkError):
    """The request is not one that can be carried out: a size, a duration, a name or a file is wrong."""

    exit_code = 2


class RefusedError(KinemarkError):
    """A gate refused; `decision` says which rule, at which stage, why, and how to appeal."""

    exit_code = 3

    def __init__(self, message: str, decision: Decision) -> None:
        super().__init__(message)
        self.decision = decision


class FailureError(KinemarkError):
    """Something outside the request failed: a disk, a key, the ledger, an encoder."""

    exit_code = 1
