"""What the store is still needed for: files of jobs and files of owners may be one and the same content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, union_all

from kinemark.server.tables import ASSETS, FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection


def unused(connection: Connection, digests: Sequence[str]) -> list[str]:
    """Of digests whose rows were removed, those that no other row has."""
    wanted = set(digests)
    tables = (select(table.c.digest).where(table.c.digest.in_(wanted)) for table in (ASSETS, FILES))
    return sorted(wanted - set(connection.execute(union_all(*tables)).scalars()))
