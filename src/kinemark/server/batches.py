"""Batches: requests for clips that were sent as one file, a line of JSON each, and are answered in one.

A batch is a row, and each of its lines is one; a line that was entered in the queue names its job. Who looks after
batches is `server.batcher`: whichever server comes first, one at a time.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update

from kinemark.server.rows import page_of_rows
from kinemark.server.tables import BATCHES, JOBS, LINES, now
from kinemark.server.webhooks import announce

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from kinemark.server.pages import Wanted

VALIDATING, IN_PROGRESS, CANCELLING = "validating", "in_progress", "cancelling"
FAILED, COMPLETED, EXPIRED, CANCELLED = "failed", "completed", "expired", "cancelled"
#: A batch is over.
ENDS: Final = (FAILED, COMPLETED, EXPIRED, CANCELLED)
#: Seconds that a batch has, whatever window was asked for: there is one.
WINDOW: Final = 24 * 3600.0
#: Seconds for which whoever looks after a batch has it to themselves.
HELD: Final = 120.0


@dataclass(frozen=True, slots=True)
class Batch:
    """A row of the table.

    Attributes:
        id: of the batch.
        owner: whose it is.
        status: one of this module's.
        input_file: the id of the file with the requests.
        asked: what else was asked: endpoint, window, metadata, how long its files are to be kept.
        times: when it came to which status.
        errors: what is wrong with the file.
        output_file, error_file: the ids of what came of it.
        created_at, expires_at: seconds since 1970.
    """

    id: str
    owner: str
    status: str
    input_file: str
    asked: dict[str, Any]
    times: dict[str, float]
    errors: list[dict[str, Any]]
    output_file: str | None
    error_file: str | None
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Line:
    """A request of a batch.

    Attributes:
        number: from 1, as lines of files are counted.
        custom_id: what the client calls it.
        body: of the request.
        job: that it became.
        answer: what came of it.
    """

    number: int
    custom_id: str
    body: dict[str, Any]
    job: str | None = None
    answer: dict[str, Any] | None = None


_COLUMNS: Final = [BATCHES.c[field.name] for field in fields(Batch)]
_LINE: Final = [LINES.c[field.name] for field in fields(Line)]


class Batches:
    """The batches in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    def add(self, owner: str, input_file: str, asked: Mapping[str, Any]) -> Batch:
        """Enter a batch; somebody looks into its file soon."""
        row = {
            "id": f"batch_{secrets.token_hex(16)}",
            "owner": owner,
            "status": VALIDATING,
            "input_file": input_file,
            "asked": dict(asked),
            "times": {},
            "errors": [],
            "created_at": now(),
            "expires_at": now() + WINDOW,
            "next_at": now(),
        }
        made = self._one(insert(BATCHES).values(**row).returning(*_COLUMNS))
        assert made is not None
        return made

    def get(self, id_: str, owner: str) -> Batch | None:
        """A batch of an owner."""
        return self._one(select(*_COLUMNS).where(BATCHES.c.id == id_, BATCHES.c.owner == owner))

    def page(self, owner: str, wanted: Wanted) -> tuple[list[Batch], bool]:
        """Batches of an owner in the order of their making, and whether there are more."""
        rows, more = page_of_rows(self._single, BATCHES, _COLUMNS, owner, wanted)
        return [Batch(**row._mapping) for row in rows], more  # noqa: SLF001  SQLAlchemy's own name for it

    def due(self) -> Batch | None:
        """Take the batch that waits longest to be looked after, for `HELD` seconds; None if there is none."""
        following = (
            select(BATCHES.c.id)
            .where(BATCHES.c.next_at <= now())
            .order_by(BATCHES.c.next_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taken = update(BATCHES).where(BATCHES.c.id == following.scalar_subquery()).values(next_at=now() + HELD)
        return self._one(taken.returning(*_COLUMNS))

    def out_of_time(self, batch: Batch) -> bool:
        """Whether a batch has had its time, by the database's clock."""
        statement = select(BATCHES.c.expires_at < now()).where(BATCHES.c.id == batch.id)
        with self._single.connect() as connection:
            return bool(connection.execute(statement).scalar_one_or_none())

    def later(self, batch: Batch, seconds: float) -> None:
        """Say when a batch is to be looked after again, unless it is over."""
        statement = update(BATCHES).where(BATCHES.c.id == batch.id, BATCHES.c.status.not_in(ENDS))
        with self._single.connect() as connection:
            connection.execute(statement.values(next_at=now() + seconds))

    def begin(self, batch: Batch, lines: Sequence[Line]) -> None:
        """Enter the lines of a batch that was found to be right, all or none."""
        with self._engine.begin() as connection:
            values = self._turned(batch, IN_PROGRESS) | {"next_at": now()}
            changed = connection.execute(_as_it_is(batch).values(**values))
            if changed.rowcount == 1:
                keys = ("number", "custom_id", "body")
                connection.execute(
                    insert(LINES),
                    [{"batch": batch.id, **{key: getattr(line, key) for key in keys}} for line in lines],
                )

    def cancel(self, id_: str, owner: str) -> Batch | None:
        """Let nothing more of a batch be made; None if there is none that is not over."""
        batch = self.get(id_, owner)
        if batch is None or batch.status in (*ENDS, CANCELLING):
            return None
        values = self._turned(batch, CANCELLING) | {"next_at": now()}
        return self._one(_as_it_is(batch).values(**values).returning(*_COLUMNS))

    def end(
        self,
        batch: Batch,
        status: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        output_file: str | None = None,
        error_file: str | None = None,
    ) -> bool:
        """Let a batch be over, and tell whoever wants to know; False if it became something else meanwhile."""
        values = self._turned(batch, status) | {"next_at": None, "errors": list(errors)}
        files = {"output_file": output_file, "error_file": error_file}
        with self._engine.begin() as connection:
            if connection.execute(_as_it_is(batch).values(**values, **files)).rowcount != 1:
                return False
            announce(connection, batch.owner, f"batch.{status}", batch.id)
        return True

    def forget(self, seconds: float) -> None:
        """Forget batches that were begun so long ago, and what they asked."""
        with self._engine.begin() as connection:
            old = (BATCHES.c.created_at < now() - seconds, BATCHES.c.status.in_(ENDS))
            connection.execute(delete(LINES).where(LINES.c.batch.in_(select(BATCHES.c.id).where(*old))))
            connection.execute(delete(BATCHES).where(*old))

    def counts(self, id_: str) -> dict[str, int]:
        """How many lines a batch has, and how many were made or failed."""
        statement = select(LINES.c.failed, func.count()).where(LINES.c.batch == id_).group_by(LINES.c.failed)
        with self._single.connect() as connection:
            by = {failed: int(count) for failed, count in connection.execute(statement)}
        return {"total": sum(by.values()), "completed": by.get(False, 0), "failed": by.get(True, 0)}

    def under_way(self, id_: str) -> list[Line]:
        """The lines that are in the queue, whose answer is not known."""
        return self._lines(LINES.c.batch == id_, LINES.c.job.is_not(None), LINES.c.answer.is_(None))

    def waiting(self, id_: str, most: int) -> list[Line]:
        """The next lines that are not in the queue."""
        return self._lines(LINES.c.batch == id_, LINES.c.job.is_(None), LINES.c.answer.is_(None), most=most)

    def answered(self, id_: str, *, failed: bool, after: int, most: int) -> list[Line]:
        """Lines after another that were made, or that failed, in order."""
        return self._lines(LINES.c.batch == id_, LINES.c.number > after, LINES.c.failed == failed, most=most)

    def entered(self, batch: Batch, line: Line, job: str) -> None:
        """Say which job a line became."""
        self._note(batch, line, job=job)

    def answer(self, batch: Batch, line: Line, answer: Mapping[str, Any], *, failed: bool) -> None:
        """Say what came of a line."""
        self._note(batch, line, answer=dict(answer), failed=failed)

    def answer_rest(self, batch: Batch, answer: Mapping[str, Any]) -> None:
        """Say of all lines whose answer is not known that they failed, and why."""
        rest = update(LINES).where(LINES.c.batch == batch.id, LINES.c.answer.is_(None))
        with self._single.connect() as connection:
            connection.execute(rest.values(answer=dict(answer), failed=True))

    def jobs_in(self, lines: Sequence[Line]) -> dict[str, str]:
        """The status of the jobs of lines, by id; those that were deleted are missing."""
        statement = select(JOBS.c.id, JOBS.c.status).where(JOBS.c.id.in_([line.job for line in lines]))
        with self._single.connect() as connection:
            return {str(id_): str(status) for id_, status in connection.execute(statement)}

    def _note(self, batch: Batch, line: Line, **values: Any) -> None:  # noqa: ANN401
        statement = update(LINES).where(LINES.c.batch == batch.id, LINES.c.number == line.number)
        with self._single.connect() as connection:
            connection.execute(statement.values(**values))

    def _lines(self, *conditions: Any, most: int | None = None) -> list[Line]:  # noqa: ANN401
        statement = select(*_LINE).where(*conditions).order_by(LINES.c.number).limit(most)
        with self._single.connect() as connection:
            return [Line(**row._mapping) for row in connection.execute(statement)]  # noqa: SLF001

    def _one(self, statement: Any) -> Batch | None:  # noqa: ANN401  SQLAlchemy's statements have no common type
        with self._single.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Batch(**row._mapping)  # noqa: SLF001

    @staticmethod
    def _turned(batch: Batch, status: str) -> dict[str, Any]:
        return {"status": status, "times": batch.times | {status: time.time()}}


def _as_it_is(batch: Batch) -> Any:  # noqa: ANN401
    return update(BATCHES).where(BATCHES.c.id == batch.id, BATCHES.c.status == batch.status)
