"""Files that owners keep here by id: lines of batches, pictures that requests name, and what batches came to.

A file is a row about what lies in the store by its digest (`server.store`); it goes when its owner says so, or when it
was kept long enough.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, delete, func, insert, literal, select

from kinemark.server.kept import unused
from kinemark.server.rows import page_of_rows
from kinemark.server.tables import FILES, now

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from kinemark.server.pages import Wanted

#: What a file may be for; those of `BATCH_OUTPUT` are made here.
BATCH, BATCH_OUTPUT = "batch", "batch_output"
#: Bytes that an owner may keep.
MOST_KEPT: Final = 2 << 30
#: Seconds for which a file is kept of which nobody says how long.
KEEP: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class File:
    """A file of an owner.

    Attributes:
        id: that requests name it by.
        owner: whose it is.
        purpose: what it is for.
        name: what its owner calls it.
        digest: by which it is stored.
        media_type: of its content.
        size: in bytes.
        created_at, expires_at: seconds since 1970.
    """

    id: str
    owner: str
    purpose: str
    name: str
    digest: str
    media_type: str
    size: int
    created_at: float
    expires_at: float


_COLUMNS: Final = [FILES.c[field.name] for field in fields(File)]


class Files:
    """The files in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    def add(
        self,
        owner: str,
        purpose: str,
        name: str,
        kept: tuple[str, int],
        media_type: str,
        keep: float = KEEP,
        most: int | None = None,
    ) -> File | None:
        """Enter a file that is in the store.

        Args:
            owner: whose it is.
            purpose: what it is for.
            name: what its owner calls it.
            kept: its digest and size.
            media_type: of its content.
            keep: seconds for which it is kept.
            most: bytes that the owner may keep, this one included.

        Returns:
            The file, or None where the owner keeps as much already.
        """
        digest, size = kept
        values: dict[str, Any] = {
            "id": f"file-{secrets.token_hex(16)}",
            "owner": owner,
            "purpose": purpose,
            "name": name,
            "digest": digest,
            "media_type": media_type,
            "size": size,
        }
        cells: list[Any] = [literal(value, FILES.c[column].type).label(column) for column, value in values.items()]
        row = select(*cells, now().label("created_at"), (now() + keep).label("expires_at"))
        if most is not None:
            held = select(func.coalesce(func.sum(FILES.c.size), 0)).where(FILES.c.owner == owner)
            row = row.where(held.scalar_subquery() + size <= literal(most, BigInteger))
        names = [*values, "created_at", "expires_at"]
        return self._one(insert(FILES).from_select(names, row).returning(*_COLUMNS))

    def get(self, id_: str, owner: str) -> File | None:
        """A file of an owner."""
        return self._one(select(*_COLUMNS).where(FILES.c.id == id_, FILES.c.owner == owner))

    def page(self, owner: str, wanted: Wanted, purpose: str | None = None) -> tuple[list[File], bool]:
        """Files of an owner in the order of their making, of one purpose or all, and whether there are more."""
        conditions = () if purpose is None else (FILES.c.purpose == purpose,)
        rows, more = page_of_rows(self._single, FILES, _COLUMNS, owner, wanted, *conditions)
        return [File(**row._mapping) for row in rows], more  # noqa: SLF001

    def delete(self, id_: str, owner: str) -> tuple[bool, list[str]]:
        """Let go of a file; whether there was one, and the digests that nothing uses now."""
        with self._engine.begin() as connection:
            mine = delete(FILES).where(FILES.c.id == id_, FILES.c.owner == owner)
            gone = connection.execute(mine.returning(FILES.c.digest)).scalars().all()
            return bool(gone), unused(connection, gone)

    def expire(self) -> list[str]:
        """Let go of files that were kept long enough; the digests that nothing uses now."""
        with self._engine.begin() as connection:
            old = delete(FILES).where(FILES.c.expires_at < now()).returning(FILES.c.digest)
            return unused(connection, connection.execute(old).scalars().all())

    def _one(self, statement: Any) -> File | None:  # noqa: ANN401  SQLAlchemy's statements have no common type
        with self._single.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else File(**row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
