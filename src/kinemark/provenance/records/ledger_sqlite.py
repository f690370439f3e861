"""A ledger in one SQLite file: the installation of one machine.

Durability: SQLite's rollback journal with synchronous = EXTRA, so that a commit survives power loss and the ledger is
one file to back up. Two processes may append at once; the second waits.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from kinemark.errors import FailureError
from kinemark.provenance.records.ledger_schema import SCHEMA_VERSION, STEPS, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WAIT_SECONDS: Final = 30.0


class LedgerFile:
    """The tables of a ledger in a file; see `ledger.Backing`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    @classmethod
    def open(cls, path: Path, *, create: bool) -> LedgerFile:
        """Open the file; with `create`, make an empty one where there is none.

        Raises:
            FailureError: there is none, or it is damaged, locked for long, of a later version, or cannot be written.
                Nothing is changed or removed then.
        """
        with _errors(path):
            if create:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            elif not path.is_file():
                raise FailureError(f"there is no ledger at {path}; the first release makes it.")
            connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        opened = cls(connection, path)
        try:
            with _errors(path):
                connection.execute("PRAGMA synchronous = EXTRA")
                opened._prepare()
        except BaseException:
            connection.close()
            raise
        return opened

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """What a question is answered, row by row."""
        with _errors(self._path):
            yield from self._connection.execute(query, values)

    def field(self, name: str) -> str:
        """A field of the body of an entry, in SQL."""
        return f"body ->> '{name}'"

    @contextmanager
    def appending(self) -> Iterator[None]:
        """A transaction that nobody else appends in."""
        with _errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def destroy_salt(self, id_: str) -> None:
        """Let nobody find a salt again."""
        with _errors(self._path):
            self._connection.execute("PRAGMA secure_delete = ON")
            self._connection.execute("DELETE FROM salts WHERE id = ?", (id_,))

    def problems(self) -> list[str]:
        """What is wrong with the file itself."""
        return [message for (message,) in self.rows("PRAGMA integrity_check") if message != "ok"]

    def __str__(self) -> str:
        return str(self._path)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _prepare(self) -> None:
        """Make the tables in an empty file, bring an older one up to date, or refuse a newer one."""
        while (version := self._version()) in STEPS:
            with self.appending():
                if self._version() == version:  # another process may have been first
                    for statement in statements(STEPS[version]):
                        self._connection.execute(statement)
        if version != SCHEMA_VERSION:
            raise FailureError(
                f"the ledger {self._path} has version {version}; this Kinemark reads version {SCHEMA_VERSION}. "
                "Use the newer Kinemark that wrote it."
            )

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn SQLite's and the system's errors into ones that say what to do."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise FailureError(f"the ledger {path} refused the entry: {error}. Nothing was changed.") from error
    except sqlite3.OperationalError as error:
        advice = "wait for the other program" if "locked" in str(error) else "check free space and permissions"
        raise FailureError(f"the ledger {path} cannot be used: {error}; {advice} and try again.") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise FailureError(
            f"the ledger {path} is damaged ({error}). Nothing was changed or removed. Keep the file: move it aside "
            f"(mv {path} {path}.damaged), restore a backup, or let the next release begin a new one. Clips that were "
            "released stay signed and marked."
        ) from error
    except OSError as error:
        raise FailureError(
            f"the ledger {path} cannot be opened: {error}; check the folder, or set KINEMARK_HOME."
        ) from error
