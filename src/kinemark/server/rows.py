"""Pages of rows, in the order of their making, as every list of the API has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, ColumnElement, Engine, Row, Table

    from kinemark.server.pages import Wanted


def page_of_rows(
    engine: Engine,
    table: Table,
    columns: Sequence[Column[Any]],
    owner: str,
    wanted: Wanted,
    *conditions: ColumnElement[bool],
) -> tuple[list[Row[Any]], bool]:
    """Rows of an owner that come after another, and whether there are more.

    Args:
        engine: the database; each statement is a transaction of its own.
        table: with the columns id, owner and created_at.
        columns: that are wanted.
        owner: whose rows.
        wanted: which page.
        conditions: further ones.
    """
    made, id_ = table.c.created_at, table.c.id
    statement = select(*columns).where(table.c.owner == owner, *conditions)
    if wanted.after is not None:
        last = select(made).where(id_ == wanted.after, table.c.owner == owner).scalar_subquery()
        beyond, tie = (made < last, id_ < wanted.after) if wanted.newest_first else (made > last, id_ > wanted.after)
        statement = statement.where(or_(beyond, and_(made == last, tie)))
    order = (made.desc(), id_.desc()) if wanted.newest_first else (made, id_)
    with engine.connect() as connection:
        rows = connection.execute(statement.order_by(*order).limit(wanted.limit + 1)).all()
    return list(rows[: wanted.limit]), len(rows) > wanted.limit
