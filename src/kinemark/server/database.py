"""The server's database: SQLite in a file by default, PostgreSQL when there are several machines; one code path.

`open_database` brings its tables to the present form (`migrations`); a database of a newer version is refused.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import alembic.command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from sqlalchemy import Engine

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MS: Final = 30_000
_LOCK: Final = 0x6B696E65  # "kine": whoever migrates a PostgreSQL holds this advisory lock


def open_database(url: str) -> Engine:
    """Connect, and bring the tables to the present form.

    Args:
        url: `sqlite:///path` or `postgresql://user@host/name`.

    Raises:
        RequestError: the address is none, or of another kind of database.
        FailureError: there is no answer, or the tables are of a newer version.
    """
    engine = connect(url)
    try:
        migrate(engine)
    except CommandError as error:
        raise FailureError(f"the database is of another version ({error}); use the newest Kinemark with it") from error
    except DBAPIError as error:
        raise FailureError(f"the database does not answer ({error.orig}); see that it runs, and {url!r}") from error
    return engine


def connect(url: str) -> Engine:
    """An engine for an address, with nothing sent yet.

    Raises:
        RequestError: the address is none, or of another kind of database.
    """
    kind, _, rest = url.partition("://")
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}.get(kind)
    if driver is None or not rest:
        raise RequestError(
            f"the database is {url!r}; give sqlite:///path/to/file.sqlite, or postgresql://user@host/name"
        )
    try:
        engine = create_engine(f"{driver}://{rest}", pool_pre_ping=driver != "sqlite", pool_size=16, max_overflow=16)
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise RequestError(f"the database is {url!r}, which cannot be used ({error})") from error
    if driver == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:  # noqa: ANN401  whatever the driver has
    # How long to wait comes first: the others may have to.
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    _turn_to_wal(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _turn_to_wal(connection: Any) -> None:  # noqa: ANN401
    """Have a write-ahead log. While others do the same SQLite says so at once, and does not wait as it was told to."""
    until = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to a form; one process at a time, the others find it done."""
    config = Config()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
