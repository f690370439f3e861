"""The tables of a ledger, and what brings the file of an earlier version to this one."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = Literal["release", "withdrawal", "erasure"]

SCHEMA_VERSION: Final = 3

_BY_MANIFEST: Final = "CREATE INDEX by_manifest ON entries (body ->> 'manifest');"

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
{_BY_MANIFEST}
CREATE TABLE salts (id TEXT PRIMARY KEY, salt BLOB NOT NULL) STRICT;
CREATE TRIGGER entries_stay_same BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
CREATE TRIGGER entries_stay_here BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER salts_never_change BEFORE UPDATE ON salts BEGIN SELECT RAISE(ABORT, 'a salt is kept or deleted'); END;
PRAGMA user_version = {SCHEMA_VERSION};
"""

FROM_1: Final = f"""
DROP TRIGGER entries_stay_same;
DROP TRIGGER entries_stay_here;
DROP TRIGGER salts_never_change;
DROP INDEX one_of_each;
ALTER TABLE entries RENAME TO entries_1;
ALTER TABLE salts RENAME TO salts_1;
{SCHEMA}
INSERT INTO entries SELECT * FROM entries_1;
INSERT INTO salts SELECT * FROM salts_1;
DROP TABLE entries_1;
DROP TABLE salts_1;
"""  # noqa: S608  (nothing here is anybody's input)
"""Version 1 knew no erasures; its entries keep their digests."""


FROM_2: Final = f"""
{_BY_MANIFEST}
PRAGMA user_version = {SCHEMA_VERSION};
"""
"""Version 2 had no index of manifests."""

STEPS: Final = {0: SCHEMA, 1: FROM_1, 2: FROM_2}
"""What brings a file of an earlier version, or an empty one, to this version."""


def statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would commit the transaction that it runs in."""
    pending = ""
    for line in script.strip().splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
