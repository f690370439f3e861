"""The register of consent: who may be shown, who no longer may, and what was made while they could be.

An SQLite file. The face that belongs to a record is kept as a picture for people to look at, encrypted under a key of
its own; it is never searched. Withdrawing consent deletes picture and key, stops every new use, and leaves the list of
old ones, which names clips and not what anybody asked for.
"""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from kinemark.errors import FailureError, RequestError
from kinemark.safety.consent.record import Assurance, Consent, Verb
from kinemark.safety.envelope import decrypted, encrypted, new_key, write_private
from kinemark.safety.policy.phrases import compile_phrases
from kinemark.safety.prompt.normalise import views

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

_HANDLE: Final = re.compile(r"(?<![\w@.])@([a-z][a-z0-9-]{1,30})\b", re.IGNORECASE)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS consents (
    handle TEXT PRIMARY KEY, record TEXT NOT NULL, assurance TEXT NOT NULL, verified_by TEXT NOT NULL,
    entered TEXT NOT NULL, revoked TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS faces (handle TEXT PRIMARY KEY REFERENCES consents (handle), sealed BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS uses (
    seq INTEGER PRIMARY KEY, handle TEXT NOT NULL REFERENCES consents (handle), time TEXT NOT NULL, verb TEXT NOT NULL,
    model TEXT NOT NULL, frames_digest TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it was entered.

    Attributes:
        consent: the record.
        assurance: "attested" where somebody says so, "verified" where the operator checked the proof.
        verified_by: who checked; empty if nobody did.
        entered: when.
        revoked: when it was withdrawn; None while it stands.
    """

    consent: Consent
    assurance: Assurance
    verified_by: str
    entered: str
    revoked: str | None


@dataclass(frozen=True, slots=True)
class Use:
    """Something that was made under a consent: when, with which verb and model, and the digest of its frames."""

    time: str
    verb: Verb
    model: str
    frames_digest: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks to make of a person.

    Attributes:
        verb: what is done.
        by: who asks.
        texts: the prompts.
        photoreal: whether what comes out could be taken for a recording.
        commercial: whether it is for sale.
    """

    verb: Verb
    by: str
    texts: Sequence[str]
    photoreal: bool
    commercial: bool = False


def handles(texts: Sequence[str]) -> tuple[str, ...]:
    """The handles that prompts name, each once."""
    return tuple(dict.fromkeys(match.lower() for text in texts for match in _HANDLE.findall(text)))


def described(text: str, entries: Sequence[Entry]) -> str:
    """The prompt with each handle replaced by what its record says instead."""
    instead = {entry.consent.handle: entry.consent.description for entry in entries}
    return _HANDLE.sub(lambda match: instead.get(match[1].lower(), match[0]), text)


class Register:
    """The consents of one installation.

    Args:
        folder: made on the first entry.

    Raises:
        FailureError: the file is damaged or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "register.sqlite"
        with self._errors():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            # What is deleted is overwritten, and no copy of it stays in a log beside the file.
            self._db.executescript("PRAGMA secure_delete = ON; PRAGMA journal_mode = DELETE; PRAGMA foreign_keys = ON;")
            self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add(self, consent: Consent, face: bytes, *, now: dt.datetime, verified_by: str = "") -> Entry:
        """Enter a record with the picture of the face that it is about.

        Args:
            consent: the record.
            face: an encoded picture.
            now: when.
            verified_by: who checked the proof; without a name the record is only attested.

        Raises:
            RequestError: the handle is taken, also by a record that was withdrawn.
        """
        handle, assurance = consent.handle, "verified" if verified_by.strip() else "attested"
        row = (handle, consent.model_dump_json(), assurance, verified_by.strip(), _time(now), None)
        key = new_key()
        with self._errors():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.execute("INSERT INTO consents VALUES (?, ?, ?, ?, ?, ?)", row)
                self._db.execute("INSERT INTO faces VALUES (?, ?)", (handle, encrypted(face, key, handle)))
                write_private(self._key(handle), key)
                self._db.execute("COMMIT")
            except sqlite3.IntegrityError:
                self._db.execute("ROLLBACK")
                raise RequestError(
                    f"@{handle} is taken; a record is never overwritten: choose another handle"
                ) from None
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        return self.entry(handle)

    def revoke(self, handle: str, *, now: dt.datetime) -> tuple[Use, ...]:
        """Withdraw consent: nothing new is made, the face is deleted. Returns what was made before.

        Raises:
            RequestError: there is no such record.
        """
        entry = self.entry(handle)
        with self._errors():
            if entry.revoked is None:
                self._db.execute("UPDATE consents SET revoked = ? WHERE handle = ?", (_time(now), handle))
            self._key(handle).unlink(missing_ok=True)
            self._db.execute("DELETE FROM faces WHERE handle = ?", (handle,))
        return self.uses(handle)

    def entry(self, handle: str) -> Entry:
        """The record of a handle.

        Raises:
            RequestError: there is none.
        """
        found = self._entries("WHERE handle = ?", handle)
        if not found:
            raise RequestError(
                f"there is no record of consent for @{handle}; kinemark consent list shows those there are"
            )
        return found[0]

    def entries(self) -> list[Entry]:
        """Every record, in the order of handles."""
        return self._entries("ORDER BY handle")

    def face(self, handle: str) -> bytes:
        """The picture of a face, for a person to look at.

        Raises:
            RequestError: there is no such record, or its face was deleted.
            FailureError: the key does not open it.
        """
        self.entry(handle)
        with self._errors():
            row = self._db.execute("SELECT sealed FROM faces WHERE handle = ?", (handle,)).fetchone()
        if row is None or not self._key(handle).exists():
            raise RequestError(f"the face of @{handle} was deleted when consent was withdrawn")
        try:
            sealed: bytes = row[0]
            return decrypted(sealed, self._key(handle).read_bytes(), handle)
        except (ValueError, OSError) as error:
            raise FailureError(f"the face of @{handle} cannot be opened: its key or its picture is damaged") from error

    def refuses(self, handle: str, asked: Asked, *, now: dt.datetime) -> str | None:
        """Why this may not be made of that person; None if it may. What is not agreed to is refused."""
        found = self._entries("WHERE handle = ?", handle)
        if not found:
            return f"there is no record of consent for @{handle}"
        entry, scope = found[0], found[0].consent.scope
        reasons = (
            (entry.revoked is not None, f"@{handle} withdrew consent"),
            (now.date() > scope.until, f"the consent of @{handle} ended on {scope.until}"),
            ("face" not in scope.modalities, f"@{handle} did not agree to be seen"),
            (asked.verb not in scope.verbs, f"@{handle} did not agree to: {asked.verb}"),
            (scope.audience == "listed" and asked.by not in scope.listed, f"@{handle} does not let {asked.by!r} ask"),
            (asked.commercial and not scope.commercial, f"@{handle} did not agree to commercial use"),
            (
                asked.photoreal and entry.assurance != "verified",
                f"the consent of @{handle} is attested and not verified, which unlocks nothing photoreal",
            ),
            (_forbidden(asked.texts, scope.forbidden), f"@{handle} is not to be shown with this"),
        )
        return next((reason for holds, reason in reasons if holds), None)

    def record_use(self, handle: str, use: Use) -> None:
        """Enter what was made; the person sees it in their list."""
        with self._errors():
            row = (handle, use.time, use.verb, use.model, use.frames_digest)
            self._db.execute("INSERT INTO uses (handle, time, verb, model, frames_digest) VALUES (?, ?, ?, ?, ?)", row)

    def uses(self, handle: str) -> tuple[Use, ...]:
        """What was made of a person, the oldest first.

        Raises:
            RequestError: there is no such record.
        """
        self.entry(handle)
        with self._errors():
            asked = "SELECT time, verb, model, frames_digest FROM uses WHERE handle = ? ORDER BY seq"
            return tuple(Use(*row) for row in self._db.execute(asked, (handle,)))

    def _entries(self, condition: str, *values: str) -> list[Entry]:
        columns = "record, assurance, verified_by, entered, revoked"
        with self._errors():
            rows = self._db.execute(f"SELECT {columns} FROM consents {condition}", values).fetchall()  # noqa: S608
        return [Entry(Consent.model_validate_json(row[0]), *row[1:]) for row in rows]

    def _key(self, handle: str) -> Path:
        return self._folder / f"{handle}.key"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise FailureError(f"the register of consent {self._path} cannot be used: {error}") from error


def _forbidden(texts: Sequence[str], phrases: Sequence[str]) -> bool:
    looked_for = compile_phrases(phrases, {})
    return bool(phrases) and any(looked_for.search(view) for text in texts for view in views(text))


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
