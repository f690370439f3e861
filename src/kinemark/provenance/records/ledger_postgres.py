"""A ledger in PostgreSQL: an installation of several machines, whose releases are one chain.

The tables lie in a schema of their own, beside whatever else the database holds. Triggers refuse to change or remove
entries, as in the file of one machine; whoever appends locks out whoever else does.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from kinemark.errors import FailureError
from kinemark.provenance.records.ledger_schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

SCHEMA: Final = "kinemark_ledger"
_LOCK: Final = 0x6C656467  # "ledg": whoever makes the tables holds this advisory lock
_TABLES: Final = f"""
CREATE SCHEMA {SCHEMA};
SET search_path TO {SCHEMA};
CREATE TABLE entries (
    seq BIGINT PRIMARY KEY CHECK (seq >= 1),
    event TEXT NOT NULL,
    id TEXT NOT NULL,
    time TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    body TEXT NOT NULL,
    previous BYTEA NOT NULL,
    digest BYTEA NOT NULL
);
CREATE UNIQUE INDEX one_of_each ON entries (id, event);
CREATE INDEX by_manifest ON entries ((body::jsonb ->> 'manifest'));
CREATE TABLE salts (id TEXT PRIMARY KEY, salt BYTEA NOT NULL);
CREATE TABLE version (number INTEGER PRIMARY KEY);
INSERT INTO version VALUES ({SCHEMA_VERSION});
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'entries are never changed or removed'; END $$;
CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries EXECUTE FUNCTION refuse();
CREATE FUNCTION refuse_salt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a salt is kept or deleted'; END $$;
CREATE TRIGGER salts_never_change BEFORE UPDATE ON salts EXECUTE FUNCTION refuse_salt();
"""  # noqa: S608  nothing here is anybody's input


class LedgerDatabase:
    """The tables of a ledger in a database; see `ledger.Backing`."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self._connection, self._name = connection, name
        self._destroyed = False

    @classmethod
    def open(cls, url: str, *, create: bool) -> LedgerDatabase | None:
        """Connect; with `create`, make the tables where there are none, else return None there.

        Args:
            url: `postgresql://user@host/name`.
            create: whether a ledger is begun.

        Raises:
            FailureError: there is no answer, or the ledger is of a later version.
        """
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise FailureError("the ledger is in PostgreSQL; install what it needs: kinemark[server]") from error
        name = url.rsplit("@", 1)[-1]  # without a password
        with _errors(name):
            opened = cls(psycopg.connect(url, autocommit=True), name)
        try:
            if not opened._prepare(create=create):
                opened.close()
                return None
        except BaseException:
            opened.close()
            raise
        return opened

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """What a question is answered, row by row."""
        with _errors(self._name):
            cursor = self._connection.execute(query.replace("?", "%s"), values)
            yield from cursor if cursor.description else ()

    def field(self, name: str) -> str:
        """A field of the body of an entry, in SQL."""
        return f"body::jsonb ->> '{name}'"

    @contextmanager
    def appending(self) -> Iterator[None]:
        """A transaction that nobody else appends in."""
        with _errors(self._name), self._connection.transaction():
            self._connection.execute("LOCK TABLE entries IN EXCLUSIVE MODE")
            yield

    def destroy_salt(self, id_: str) -> None:
        """Let nobody find a salt again; what a deletion leaves in the table's pages is cleared on closing."""
        with _errors(self._name):
            self._connection.execute("DELETE FROM salts WHERE id = %s", (id_,))
        self._destroyed = True

    def problems(self) -> list[str]:
        """What is wrong with the tables themselves: nothing that PostgreSQL would not say by itself."""
        return []

    def __str__(self) -> str:
        return self._name

    def close(self) -> None:
        """Close the connection."""
        with _errors(self._name), self._connection:
            if self._destroyed:
                self._connection.execute("VACUUM FULL salts")

    def _prepare(self, *, create: bool) -> bool:
        """Make the tables where there are none, if they are to be made; whether there are any."""
        with _errors(self._name):
            if not self._there():
                if not create:
                    return False
                with self._connection.transaction():
                    self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                    if not self._there():  # another process may have been first
                        self._connection.execute(_TABLES)
            self._connection.execute(f"SET search_path TO {SCHEMA}")
            row = self._connection.execute("SELECT max(number) FROM version").fetchone()
        version = row[0] if row else None
        if version != SCHEMA_VERSION:
            raise FailureError(
                f"the ledger at {self._name} has version {version}; this Kinemark reads version {SCHEMA_VERSION}. "
                "Use the newer Kinemark that wrote it."
            )
        return True

    def _there(self) -> bool:
        query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
        return self._connection.execute(query, (SCHEMA,)).fetchone() is not None


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn the database's errors into ones that say what to do."""
    import psycopg

    try:
        yield
    except psycopg.IntegrityError as error:
        raise FailureError(f"the ledger at {name} refused the entry: {error}. Nothing was changed.") from error
    except psycopg.Error as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise FailureError(
            f"the ledger at {name} cannot be used: {said}; see that it runs, and KINEMARK_LEDGER, and try again."
        ) from error
