"""The tables of a ledger, and what brings the file of an earlier version to this one."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = Literal["release", "withdrawal", "erasure", "takedown", "exception"]

SCHEMA_VERSION: Final = 4

SCHEMA: Final = f"""
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY CHECK (seq >= 1),
    event TEXT NOT NULL CHECK (event IN ({", ".join(repr(event) for event in get_args(Event))})),
    id TEXT NOT NULL,
    time TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    body TEXT NOT NULL,
    previous BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_of_each ON entries (id, event);
CREATE INDEX by_manifest ON entries (body ->> 'manifest');
CREATE TABLE salts (id TEXT PRIMARY KEY, salt BLOB NOT NULL) STRICT;
CREATE TRIGGER entries_stay_same BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_stay_here BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER salts_never_change BEFORE UPDATE ON salts BEGIN SELECT RAISE(ABORT, 'a salt is kept or deleted'); END;
PRAGMA user_version = {SCHEMA_VERSION};
"""

REBUILT: Final = f"""
DROP TRIGGER entries_stay_same;
DROP TRIGGER entries_stay_here;
DROP TRIGGER salts_never_change;
DROP INDEX one_of_each;
DROP INDEX IF EXISTS by_manifest;
ALTER TABLE entries RENAME TO old_entries;
ALTER TABLE salts RENAME TO old_salts;
{SCHEMA}
INSERT INTO entries SELECT * FROM old_entries;
INSERT INTO salts SELECT * FROM old_salts;
DROP TABLE old_entries;
DROP TABLE old_salts;
"""  # noqa: S608  (nothing here is anybody's input)
"""Versions 1 to 3 knew fewer events; entries keep their digests."""

STEPS: Final = {0: SCHEMA, 1: REBUILT, 2: REBUILT, 3: REBUILT}
"""What brings a file of an earlier version, or an empty one, to this version."""


def statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would commit the transaction that it runs in."""
    pending = ""
    for line in script.strip().splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
