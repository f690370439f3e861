"""The ledger, in which every release is entered, and from which nothing is ever taken.

Entries are append-only (triggers refuse UPDATE and DELETE) and chained: each holds the digest of the one before, so a
changed, missing or inserted entry is found and named by `verify_chain`. What a chain alone cannot show is that the
newest entries were cut off, or that somebody rewrote everything; that takes a witness outside this file.

An entry is written *before* the file gets its final name. If the machine dies between the two, the ledger knows a
clip that nobody received, which harms no one; the other order could let a clip out that the ledger does not know.
If putting the file in place fails in a way that can be caught, a `withdrawal` entry says so.

Prompts are not kept. An entry holds an HMAC of the prompt under a salt of its own, and the salts lie in a second table
that is not part of the chain: delete the salt, and the commitment says nothing any more while the chain stays whole.

It lies in one SQLite file, or for several machines in PostgreSQL: `ledger_sqlite`, `ledger_postgres`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, Self

from kinemark.errors import FailureError
from kinemark.provenance.records.ledger_sqlite import LedgerFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from kinemark.provenance.records.ledger_schema import Event

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


class Backing(Protocol):
    """Where the tables of a ledger lie: `entries`, whose columns are the fields of `Entry`, and `salts`.

    Raises (every method):
        FailureError: it cannot be used.
    """

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """What a question is answered, row by row; values stand for the question marks in it."""

    def field(self, name: str) -> str:
        """A field of the body of an entry, in SQL."""

    def appending(self) -> AbstractContextManager[None]:
        """A transaction that nobody else appends in."""

    def destroy_salt(self, id_: str) -> None:
        """Let nobody find a salt again."""

    def problems(self) -> list[str]:
        """What is wrong with the tables themselves."""

    def close(self) -> None:
        """Let go of it."""


class Ledger:
    """An open ledger; a context manager. Several may be open at once, in several processes."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Ledger:
        """Open the ledger in a file; with `create`, make an empty one where there is none.

        Raises:
            FailureError: there is none, or it is damaged, locked for long, of a later version, or cannot be written.
                Nothing is changed or removed then.
        """
        return cls(LedgerFile.open(path, create=create))

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
        with self._backing.appending():
            last = self._last()
            seq, previous = (last.seq + 1, last.digest) if last else (1, GENESIS)
            text = canonical(content)
            digest = _digest(seq, event, id_, time, fingerprint, text, previous)
            row = (seq, event, id_, time, fingerprint, text, previous, digest)
            self._do("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            if salt is not None:
                self._do("INSERT INTO salts VALUES (?, ?)", (id_, salt))
        return Entry(seq, event, id_, time, fingerprint, content, previous, digest)

    def find(self, id_: str) -> Entry | None:
        """The release with this id, if there is one."""
        return self._entry("SELECT * FROM entries WHERE id = ? AND event = 'release'", (id_,))

    def find_manifest(self, label: str) -> Entry | None:
        """The release whose manifest has this name, if there is one."""
        named = self._backing.field("manifest")
        return self._entry(f"SELECT * FROM entries WHERE {named} = ? AND event = 'release'", (label,))  # noqa: S608

    def codes(self) -> list[tuple[str, str]]:
        """The id and the ISCC code of every release that has one."""
        code = self._backing.field("iscc")
        query = f"SELECT id, {code} FROM entries WHERE event = 'release' AND {code} IS NOT NULL"  # noqa: S608
        return [(str(id_), str(code)) for id_, code in self._backing.rows(query)]

    def withdrawn(self, id_: str) -> bool:
        """Whether the release with this id never reached its place."""
        return self._has(id_, "withdrawal")

    def taken_down(self, id_: str) -> bool:
        """Whether it was decided that the release with this id is not to be shown any more."""
        return self._has(id_, "takedown")

    def exceptions(self) -> list[Entry]:
        """Exceptions that the operator signed, the oldest first."""
        query = "SELECT * FROM entries WHERE event = 'exception' ORDER BY seq"
        return [_entry(row) for row in self._backing.rows(query)]

    def erased(self, id_: str) -> bool:
        """Whether the salt of the release with this id was destroyed on request."""
        return self._has(id_, "erasure")

    def erase(self, id_: str) -> Entry:
        """Destroy the salt of a release, so that its commitment can never be opened, and enter that this was done.

        Raises:
            FailureError: as `append`; the id was erased before.
        """
        # Before the entry: whatever happens in between, the promise is not broken, and erasing again finishes it.
        self._backing.destroy_salt(id_)
        return self.append("erasure", id_, {})

    def entries(self) -> Iterator[Entry]:
        """All entries in order."""
        return map(_entry, self._backing.rows("SELECT * FROM entries ORDER BY seq"))

    def digests(self) -> list[bytes]:
        """The digests of all entries in order: the leaves of the Merkle tree."""
        return [row[0] for row in self._backing.rows("SELECT digest FROM entries ORDER BY seq")]

    def at(self, seq: int) -> Entry | None:
        """The entry at this position, if there is one."""
        return self._entry("SELECT * FROM entries WHERE seq = ?", (seq,))

    def fingerprints(self, after: int = 0) -> list[tuple[int, bytes]]:
        """Position and fingerprint of every release after a position."""
        query = "SELECT seq, fingerprint FROM entries WHERE event = 'release' AND seq > ?"
        return [(int(seq), bytes(fingerprint)) for seq, fingerprint in self._backing.rows(query, (after,))]

    def matches_prompt(self, id_: str, prompt: str) -> bool | None:
        """Whether this release was made from this prompt; None when that cannot be said (no salt, or erased)."""
        entry = self.find(id_)
        row = next(self._backing.rows("SELECT salt FROM salts WHERE id = ?", (id_,)), None)
        if entry is None or row is None:
            return None
        return hmac.compare_digest(entry.body.get("prompt_commitment", ""), commitment(prompt, row[0]))

    def __len__(self) -> int:
        ((count,),) = self._backing.rows("SELECT count(*) FROM entries")
        return int(count)

    def verify_chain(self) -> list[Damage]:
        """Recompute every digest and link; an empty list means that all is as it was written.

        Raises:
            FailureError: the file cannot be read as a database any more.
        """
        damages, expected, previous = [], 1, GENESIS
        for row in self._backing.rows("SELECT * FROM entries ORDER BY seq"):
            seq, _event, id_, _time, _fingerprint, _text, before, digest = row
            if seq != expected:
                damages.append(Damage(expected, "?", f"entries {expected} to {seq - 1} are missing"))
            elif before != previous:
                damages.append(Damage(seq, str(id_), "it does not continue the entry before it"))
            if _digest(*row[:7]) != digest:
                damages.append(Damage(seq, str(id_), "its content is not what was entered"))
            expected, previous = seq + 1, digest
        damages += [Damage(0, "?", f"the file itself: {message}") for message in self._backing.problems()]
        return damages

    def close(self) -> None:
        """Let go of it."""
        self._backing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _has(self, id_: str, event: Event) -> bool:
        query = "SELECT 1 FROM entries WHERE id = ? AND event = ?"
        return next(self._backing.rows(query, (id_, event)), None) is not None

    def _last(self) -> Entry | None:
        row = next(self._backing.rows("SELECT * FROM entries ORDER BY seq DESC LIMIT 1"), None)
        if row is None:
            return None
        if _digest(*row[:7]) != row[7]:
            raise FailureError(
                f"entry {row[0]} (id {row[2]}) of the ledger {self._backing} was changed after it was written. "
                "Nothing was added. Keep this ledger, restore it from a backup, and compare."
            )
        return _entry(row)

    def _entry(self, query: str, values: Sequence[Any]) -> Entry | None:
        row = next(self._backing.rows(query, values), None)
        return None if row is None else _entry(row)

    def _do(self, statement: str, values: Sequence[Any]) -> None:
        for _ in self._backing.rows(statement, values):
            pass


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
    try:
        body = json.loads(text)
    except (ValueError, TypeError) as error:
        raise FailureError(
            f"entry {seq} (id {id_}) of the ledger is damaged ({error}). Nothing was changed or removed. Keep this "
            "ledger, restore it from a backup, and compare."
        ) from error
    return Entry(seq, event, id_, time, fingerprint, body, previous, digest)
