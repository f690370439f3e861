"""The ledger: one SQLite file in which every release is entered, and from which nothing is ever taken.

Entries are append-only (triggers refuse UPDATE and DELETE) and chained: each holds the digest of the one before, so a
changed, missing or inserted entry is found and named by `verify_chain`. What a chain alone cannot show is that the
newest entries were cut off, or that somebody rewrote everything; that takes a witness outside this file.

An entry is written *before* the file gets its final name. If the machine dies between the two, the ledger knows a
clip that nobody received, which harms no one; the other order could let a clip out that the ledger does not know.
If putting the file in place fails in a way that can be caught, a `withdrawal` entry says so.

Prompts are not kept. An entry holds an HMAC of the prompt under a salt of its own, and the salts lie in a second table
that is not part of the chain: delete the salt, and the commitment says nothing any more while the chain stays whole.

Durability: SQLite's rollback journal with synchronous = EXTRA, so that a commit survives power loss and the ledger is
one file to back up. Two processes may append at once; the second waits.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import secrets
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from kinemark.errors import FailureError
from kinemark.provenance.records.ledger_schema import SCHEMA_VERSION, STEPS, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from kinemark.provenance.records.ledger_schema import Event

WAIT_SECONDS = 30.0
GENESIS = bytes(32)
"""Digest "before" the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Attributes:
        seq: position, from 1 without gaps.
        event: what happened.
        id: the clip's id, eight hexadecimal digits; of an exception, its own.
        time: when it was entered, RFC 3339 in UTC.
        fingerprint: clip hashes of the encoded file, 32 bytes each; empty for a withdrawal.
        body: everything else that is known, as JSON values.
        previous: digest of the entry before.
        digest: SHA-256 over all of the above.
    """

    seq: int
    event: Event
    id: str
    time: str
    fingerprint: bytes
    body: dict[str, Any]
    previous: bytes
    digest: bytes

    def to_dict(self) -> dict[str, Any]:
        """The entry as JSON values; binary fields as hexadecimal."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Damage:
    """An entry that is not as it was written: `seq`, `id` as far as it can be read, and what is wrong.

    With `seq` 0 it is the database file around the entries that is damaged.
    """

    seq: int
    id: str
    reason: str


class Ledger:
    """An open ledger; a context manager. Several may be open on one file, in several processes."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Ledger:
        """Open the ledger; with `create`, make an empty one where there is none.

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
        ledger = cls(connection, path)
        try:
            with _errors(path):
                connection.execute("PRAGMA synchronous = EXTRA")
                ledger._prepare()
        except BaseException:
            connection.close()
            raise
        return ledger

    def new_id(self) -> str:
        """Draw an id of eight hexadecimal digits that no entry has."""
        while True:
            drawn = secrets.token_hex(4)
            if self.find(drawn) is None:
                return drawn

    def append(
        self,
        event: Event,
        id_: str,
        body: Mapping[str, Any],
        *,
        fingerprint: bytes = b"",
        prompt: str | None = None,
    ) -> Entry:
        """Add an entry and return it; when this returns, it is on the disk.

        With `prompt`, the body gets `prompt_commitment`, an HMAC of it under a fresh salt.

        Raises:
            FailureError: the ledger cannot be written, its newest entry is damaged, or the id is already taken.
        """
        content = dict(body)
        salt = secrets.token_bytes(32) if prompt is not None else None
        if prompt is not None and salt is not None:
            content["prompt_commitment"] = commitment(prompt, salt)
        time = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._transaction():
            last = self._last()
            seq, previous = (last.seq + 1, last.digest) if last else (1, GENESIS)
            text = canonical(content)
            digest = _digest(seq, event, id_, time, fingerprint, text, previous)
            row = (seq, event, id_, time, fingerprint, text, previous, digest)
            self._connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            if salt is not None:
                self._connection.execute("INSERT INTO salts VALUES (?, ?)", (id_, salt))
        return Entry(seq, event, id_, time, fingerprint, content, previous, digest)

    def find(self, id_: str) -> Entry | None:
        """The release with this id, if there is one."""
        with _errors(self._path):
            query = "SELECT * FROM entries WHERE id = ? AND event = 'release'"
            row = self._connection.execute(query, (id_,)).fetchone()
            return _entry(row) if row else None

    def find_manifest(self, label: str) -> Entry | None:
        """The release whose manifest has this name, if there is one."""
        with _errors(self._path):
            query = "SELECT * FROM entries WHERE body ->> 'manifest' = ? AND event = 'release'"
            row = self._connection.execute(query, (label,)).fetchone()
            return _entry(row) if row else None

    def codes(self) -> list[tuple[str, str]]:
        """The id and the ISCC code of every release that has one."""
        with _errors(self._path):
            query = "SELECT id, body ->> 'iscc' FROM entries WHERE event = 'release' AND body ->> 'iscc' IS NOT NULL"
            return [(str(id_), str(code)) for id_, code in self._connection.execute(query)]

    def withdrawn(self, id_: str) -> bool:
        """Whether the release with this id never reached its place."""
        return self._has(id_, "withdrawal")

    def taken_down(self, id_: str) -> bool:
        """Whether it was decided that the release with this id is not to be shown any more."""
        return self._has(id_, "takedown")

    def exceptions(self) -> list[Entry]:
        """Exceptions that the operator signed, the oldest first."""
        with _errors(self._path):
            query = "SELECT * FROM entries WHERE event = 'exception' ORDER BY seq"
            return [_entry(row) for row in self._connection.execute(query)]

    def erased(self, id_: str) -> bool:
        """Whether the salt of the release with this id was destroyed on request."""
        return self._has(id_, "erasure")

    def erase(self, id_: str) -> Entry:
        """Destroy the salt of a release, so that its commitment can never be opened, and enter that this was done.

        Raises:
            FailureError: as `append`; the id was erased before.
        """
        with _errors(self._path):
            self._connection.execute("PRAGMA secure_delete = ON")
            # Before the entry: whatever happens in between, the promise is not broken, and erasing again finishes it.
            self._connection.execute("DELETE FROM salts WHERE id = ?", (id_,))
        return self.append("erasure", id_, {})

    def entries(self) -> Iterator[Entry]:
        """All entries in order."""
        with _errors(self._path):
            for row in self._connection.execute("SELECT * FROM entries ORDER BY seq"):
                yield _entry(row)

    def digests(self) -> list[bytes]:
        """The digests of all entries in order: the leaves of the Merkle tree."""
        with _errors(self._path):
            return [row[0] for row in self._connection.execute("SELECT digest FROM entries ORDER BY seq")]

    def _has(self, id_: str, event: Event) -> bool:
        with _errors(self._path):
            query = "SELECT 1 FROM entries WHERE id = ? AND event = ?"
            return self._connection.execute(query, (id_, event)).fetchone() is not None

    def at(self, seq: int) -> Entry | None:
        """The entry at this position, if there is one."""
        with _errors(self._path):
            row = self._connection.execute("SELECT * FROM entries WHERE seq = ?", (seq,)).fetchone()
            return _entry(row) if row else None

    def fingerprints(self, after: int = 0) -> list[tuple[int, bytes]]:
        """Position and fingerprint of every release after a position."""
        with _errors(self._path):
            query = "SELECT seq, fingerprint FROM entries WHERE event = 'release' AND seq > ?"
            return self._connection.execute(query, (after,)).fetchall()

    def matches_prompt(self, id_: str, prompt: str) -> bool | None:
        """Whether this release was made from this prompt; None when that cannot be said (no salt, or erased)."""
        entry = self.find(id_)
        with _errors(self._path):
            row = self._connection.execute("SELECT salt FROM salts WHERE id = ?", (id_,)).fetchone()
        if entry is None or row is None:
            return None
        return hmac.compare_digest(entry.body.get("prompt_commitment", ""), commitment(prompt, row[0]))

    def __len__(self) -> int:
        with _errors(self._path):
            return int(self._connection.execute("SELECT count(*) FROM entries").fetchone()[0])

    def verify_chain(self) -> list[Damage]:
        """Recompute every digest and link; an empty list means that all is as it was written.

        Raises:
            FailureError: the file cannot be read as a database any more.
        """
        damages, expected, previous = [], 1, GENESIS
        with _errors(self._path):
            for row in self._connection.execute("SELECT * FROM entries ORDER BY seq"):
                seq, _event, id_, _time, _fingerprint, _text, before, digest = row
                if seq != expected:
                    damages.append(Damage(expected, "?", f"entries {expected} to {seq - 1} are missing"))
                elif before != previous:
                    damages.append(Damage(seq, str(id_), "it does not continue the entry before it"))
                if _digest(*row[:7]) != digest:
                    damages.append(Damage(seq, str(id_), "its content is not what was entered"))
                expected, previous = seq + 1, digest
            for (message,) in self._connection.execute("PRAGMA integrity_check"):
                if message != "ok":
                    damages.append(Damage(0, "?", f"the file itself: {message}"))
        return damages

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        """Make the tables in an empty file, bring an older one up to date, or refuse a newer one."""
        while (version := self._version()) in STEPS:
            with self._transaction():
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

    def _last(self) -> Entry | None:
        row = self._connection.execute("SELECT * FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        if row is None:
            return None
        if _digest(*row[:7]) != row[7]:
            raise FailureError(
                f"entry {row[0]} (id {row[2]}) of the ledger {self._path} was changed after it was written. "
                "Nothing was added. Keep this file, restore the ledger from a backup, and compare."
            )
        return _entry(row)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def canonical(content: Mapping[str, Any]) -> str:
    """JSON values as the one text that digests and signatures are made of."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def commitment(prompt: str, salt: bytes) -> str:
    """What an entry says about a prompt: HMAC-SHA256 under the entry's salt, hexadecimal."""
    return hmac.digest(salt, prompt.encode(), "sha256").hex()


def _digest(*fields: int | str | bytes) -> bytes:
    """SHA-256 over the fields in order, each with its type and length in front so that no two lists look alike."""
    digest = hashlib.sha256(b"kinemark ledger 1")
    for field in fields:
        raw = field if isinstance(field, bytes) else str(field).encode()
        digest.update(f"{type(field).__name__}:{len(raw)}:".encode() + raw)
    return digest.digest()


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, event, id_, time, fingerprint, text, previous, digest = row
    return Entry(seq, event, id_, time, fingerprint, json.loads(text), previous, digest)


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
    except (sqlite3.DatabaseError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FailureError(
            f"the ledger {path} is damaged ({error}). Nothing was changed or removed. Keep the file: move it aside "
            f"(mv {path} {path}.damaged), restore a backup, or let the next release begin a new one. Clips that were "
            "released stay signed and marked."
        ) from error
    except OSError as error:
        raise FailureError(
            f"the ledger {path} cannot be opened: {error}; check the folder, or set KINEMARK_HOME."
        ) from error
