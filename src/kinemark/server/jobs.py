"""The queue: one table, of which a worker takes the next job by one statement, with a lease that it has to renew.

A worker that dies lets its lease run out; the next one that asks takes the job over, up to `MAX_ATTEMPTS` times. Every
change names the attempt that it belongs to, so that a worker that lost its job without knowing changes nothing. Who
waits longest comes first, within a priority, and within it whoever has the fewest jobs under way.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from kinemark.server.kept import unused
from kinemark.server.rows import page_of_rows
from kinemark.server.tables import ASSETS, JOBS, now
from kinemark.server.webhooks import announce

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, Engine, Row

    from kinemark.server.pages import Wanted

QUEUED, RUNNING, COMPLETED, FAILED = "queued", "in_progress", "completed", "failed"
#: Workers that may die over a job before it counts as what kills them.
MAX_ATTEMPTS: Final = 3
#: Seconds for which a job is a worker's without being heard of.
LEASE: Final = 30.0
#: Files that a job has while it is worked on: what can be seen of it, and what the next attempt would go on with.
PREVIEW, BLOCKS = "preview-", "blocks-"
#: Seconds for which the files of a job that is over are kept.
KEEP: Final = 24 * 3600.0
#: Seconds within which a request that a client sends again is the same request.
RETRIED: Final = 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table."""

    id: str
    owner: str
    status: str
    priority: int
    cost: float
    model: str
    asked: dict[str, Any]
    facts: dict[str, Any]
    progress: int
    created_at: float
    started_at: float | None
    completed_at: float | None
    expires_at: float | None
    error: dict[str, Any] | None
    worker: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of a job.

    Attributes:
        role: what it is to the job: "video", "thumbnail", "spritesheet", or what was given.
        digest: sha256 in hexadecimal, by which it is stored.
        media_type: of its content.
        size: in bytes.
    """

    role: str
    digest: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class New:
    """What is asked for.

    Attributes:
        owner: the key's id.
        model: that makes it.
        asked: everything a worker has to know.
        facts: what the job's answer says beside.
        cost: about how many seconds it takes to compute.
        seconds: how long the clip is.
        priority: higher ones come first.
        body_digest: of the request, to know it again.
        idempotency: what the client calls the request, if it does.
        assets: files that were given.
    """

    owner: str
    model: str
    asked: Mapping[str, Any]
    facts: Mapping[str, Any]
    cost: float
    body_digest: str
    priority: int = 0
    idempotency: str | None = None
    assets: tuple[Asset, ...] = ()
    seconds: float = 0.0


_COLUMNS: Final = [JOBS.c[field.name] for field in fields(Job)]


def piece_role(kind: str, number: int) -> str:
    """What a file is to its job that is one of many of a kind, `PREVIEW` or `BLOCKS`."""
    return f"{kind}{number:05d}"


class Jobs:
    """The table of jobs in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    def add(self, new: New, *, limit: float | None = None, per_day: int | None = None) -> Job | None:
        """Enter a job; one that has the same name, `idempotency`, is returned as it is.

        Args:
            new: what is asked.
            limit: seconds of computing that may wait at most, this one included.
            per_day: jobs that its owner may ask for in a day.

        Returns:
            The job, or None where a limit is reached.
        """
        id_ = f"video_{secrets.token_hex(24)}"
        values: dict[str, Any] = {
            "id": id_,
            "owner": new.owner,
            "status": QUEUED,
            "priority": new.priority,
            "cost": new.cost,
            "seconds": new.seconds,
            "model": new.model,
            "asked": dict(new.asked),
            "facts": dict(new.facts),
            "body_digest": new.body_digest,
            "idempotency": new.idempotency,
            "progress": 0,
            "created_at": _after_all(),
            "attempts": 0,
        }
        cells: list[Any] = [
            value if name == "created_at" else literal(value, JOBS.c[name].type).label(name)
            for name, value in values.items()
        ]
        row = select(*cells).where(*_within(new, limit, per_day))
        statement = insert(JOBS).from_select(list(values), row).returning(*_COLUMNS)
        try:
            with self._engine.begin() as connection:
                found = connection.execute(statement).one_or_none()
                if found is not None and new.assets:
                    connection.execute(insert(ASSETS), [_asset_row(id_, asset) for asset in new.assets])
        except IntegrityError:
            return self._named(new)
        return None if found is None else _job(found)

    def same(self, owner: str, body_digest: str) -> Job | None:
        """The job of an equal request of the last minutes: a client that got no answer sends it again."""
        statement = (
            select(*_COLUMNS)
            .where(JOBS.c.owner == owner, JOBS.c.body_digest == body_digest, JOBS.c.created_at > now() - RETRIED)
            .order_by(JOBS.c.created_at.desc())
            .limit(1)
        )
        return self._one(statement)

    def _named(self, new: New) -> Job | None:
        return self._one(select(*_COLUMNS).where(JOBS.c.owner == new.owner, JOBS.c.idempotency == new.idempotency))

    def get(self, id_: str, owner: str | None = None) -> Job | None:
        """A job by its id; with an owner, only theirs."""
        statement = select(*_COLUMNS).where(JOBS.c.id == id_)
        return self._one(statement if owner is None else statement.where(JOBS.c.owner == owner))

    def page(self, owner: str, wanted: Wanted) -> tuple[list[Job], bool]:
        """Jobs of an owner in the order of their making, and whether there are more."""
        rows, more = page_of_rows(self._single, JOBS, _COLUMNS, owner, wanted)
        return [_job(row) for row in rows], more

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each status."""
        statement = select(JOBS.c.status, func.count()).group_by(JOBS.c.status)
        with self._single.connect() as connection:
            return {str(status): int(count) for status, count in connection.execute(statement)}

    def claim(self, worker: str, models: Collection[str] | None = None, lease: float = LEASE) -> Job | None:
        """Take the next job, and hold it for `lease` seconds; None if there is none.

        Args:
            worker: who takes it.
            models: that it can run; None: all.
            lease: seconds.
        """
        self._give_up()
        lost = and_(JOBS.c.status == RUNNING, JOBS.c.lease_until < now())
        running = JOBS.alias("running")
        busy = (
            select(running.c.owner, func.count().label("jobs"))
            .where(running.c.status == RUNNING, running.c.lease_until >= now())
            .group_by(running.c.owner)
            .subquery("busy")
        )
        following = (
            select(JOBS.c.id)
            .select_from(JOBS.outerjoin(busy, busy.c.owner == JOBS.c.owner))
            .where(or_(JOBS.c.status == QUEUED, lost))
        )
        if models is not None:
            following = following.where(JOBS.c.model.in_(models))
        following = (
            following.order_by(JOBS.c.priority.desc(), func.coalesce(busy.c.jobs, 0), JOBS.c.created_at, JOBS.c.id)
            .limit(1)
            .with_for_update(of=JOBS, skip_locked=True)
        )
        statement = (
            update(JOBS)
            .where(JOBS.c.id == following.scalar_subquery())
            .values(
                status=RUNNING,
                worker=worker,
                attempts=JOBS.c.attempts + 1,
                lease_until=now() + lease,
                started_at=func.coalesce(JOBS.c.started_at, now()),
                progress=0,
            )
            .returning(*_COLUMNS)
        )
        return self._one(statement)

    def _give_up(self) -> None:
        """Let jobs fail that took their workers with them too often."""
        message = f"{MAX_ATTEMPTS} workers ended while they made this clip; it is not tried again"
        given_up = (
            update(JOBS)
            .where(JOBS.c.status == RUNNING, JOBS.c.lease_until < now(), JOBS.c.attempts >= MAX_ATTEMPTS)
            .values(**_failed({"code": "worker_lost", "message": message}))
            .returning(JOBS.c.id, JOBS.c.owner)
        )
        with self._engine.begin() as connection:
            for id_, owner in connection.execute(given_up).all():
                announce(connection, owner, "video.failed", id_)

    def renew(self, job: Job, progress: int, lease: float = LEASE) -> bool:
        """Say that a job is worked on; False if it is no longer this worker's, or was deleted."""
        return self._run(_held(job).values(lease_until=now() + lease, progress=progress)) == 1

    def give_back(self, job: Job) -> bool:
        """Let others take a job that was not finished, as if it had not been begun."""
        return self._run(_held(job).values(status=QUEUED, lease_until=None, attempts=JOBS.c.attempts - 1)) == 1

    def complete(self, job: Job, assets: Sequence[Asset], facts: Mapping[str, Any], keep: float) -> bool:
        """Enter what was made; False if the job is no longer this worker's: then nothing is entered.

        Args:
            job: as it was claimed.
            assets: what was made.
            facts: what the answer says of it.
            keep: seconds for which its files can be had.
        """
        done = {
            "status": COMPLETED,
            "progress": 100,
            "completed_at": now(),
            "expires_at": now() + keep,
            "facts": job.facts | dict(facts),
            "lease_until": None,
        }
        return self._enter(job, done, assets, "video.completed")

    def add_piece(self, job: Job, piece: Asset) -> bool:
        """Enter a file while a job is worked on; False if it is no longer this worker's."""
        return self._enter(job, {"lease_until": JOBS.c.lease_until}, [piece])

    def drop_pieces(self, job: Job, kind: str) -> list[str]:
        """Let go of the pieces of a kind; the digests that nothing uses now."""
        with self._engine.begin() as connection:
            return _dropped(connection, [job.id], ASSETS.c.role.like(f"{kind}%"))

    def fail(self, job: Job, error: Mapping[str, Any]) -> bool:
        """Enter why a job failed; False if it is no longer this worker's."""
        return self._enter(job, _failed(error) | {"lease_until": None}, [], "video.failed")

    def _enter(self, job: Job, changes: Mapping[str, Any], assets: Sequence[Asset], event: str | None = None) -> bool:
        """Change a job, with files of it and whom to tell, all or nothing; False if it is no longer this worker's."""
        with self._engine.begin() as connection:
            if connection.execute(_held(job).values(**changes)).rowcount != 1:
                return False
            if assets:
                connection.execute(insert(ASSETS), [_asset_row(job.id, asset) for asset in assets])
            if event:
                announce(connection, job.owner, event, job.id)
        return True

    def delete(self, id_: str, owner: str) -> tuple[bool, list[str]]:
        """Delete a job, also one that is worked on; whether there was one, and the digests that nothing uses now."""
        with self._engine.begin() as connection:
            theirs = select(JOBS.c.id).where(JOBS.c.id == id_, JOBS.c.owner == owner).with_for_update()
            if connection.execute(theirs).one_or_none() is None:
                return False, []
            unused = _dropped(connection, [id_])
            connection.execute(delete(JOBS).where(JOBS.c.id == id_))
            return True, unused

    def expire(self) -> list[str]:
        """Let go of files that were kept long enough; the digests that nothing uses now."""
        with self._engine.begin() as connection:
            old = select(JOBS.c.id).where(JOBS.c.expires_at < now())
            ids = connection.execute(select(ASSETS.c.job).where(ASSETS.c.job.in_(old)).distinct()).scalars().all()
            return _dropped(connection, list(ids))

    def forget(self, seconds: float) -> list[str]:
        """Forget jobs that have been over for so long, and what was asked; the digests that nothing uses now."""
        with self._engine.begin() as connection:
            old = select(JOBS.c.id).where(JOBS.c.completed_at < now() - seconds)
            ids = list(connection.execute(old).scalars())
            unused = _dropped(connection, ids)
            connection.execute(delete(JOBS).where(JOBS.c.id.in_(ids)))
        return unused

    def assets(self, id_: str) -> dict[str, Asset]:
        """The files of a job, by role."""
        columns = (ASSETS.c.role, ASSETS.c.digest, ASSETS.c.media_type, ASSETS.c.size)
        with self._single.connect() as connection:
            rows = connection.execute(select(*columns).where(ASSETS.c.job == id_)).all()
        return {row.role: Asset(*row) for row in rows}

    def _one(self, statement: Any) -> Job | None:  # noqa: ANN401  SQLAlchemy's statements have no common type
        with self._single.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _job(row)

    def _run(self, statement: Any) -> int:  # noqa: ANN401
        with self._single.connect() as connection:
            return int(connection.execute(statement).rowcount)


def _after_all() -> ColumnElement[float]:
    """Now, or right after the last job where a clock stands still: SQLite's goes in steps of a millisecond."""
    last = select(func.coalesce(func.max(JOBS.c.created_at), 0.0)).scalar_subquery()
    return case((now() > last, now()), else_=last + 1e-6)


def _within(new: New, limit: float | None, per_day: int | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if limit is not None:
        waiting = select(func.coalesce(func.sum(JOBS.c.cost), 0.0)).where(JOBS.c.status.in_((QUEUED, RUNNING)))
        conditions.append(waiting.scalar_subquery() + new.cost <= limit)
    if per_day is not None:
        today = select(func.count()).where(JOBS.c.owner == new.owner, JOBS.c.created_at > now() - 86_400.0)
        conditions.append(today.scalar_subquery() < per_day)
    return conditions


def _failed(error: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of a job that failed; what was given for it is kept for as long as what is made of others."""
    return {"status": FAILED, "completed_at": now(), "expires_at": now() + KEEP, "error": dict(error)}


def _held(job: Job) -> Any:  # noqa: ANN401
    return update(JOBS).where(
        JOBS.c.id == job.id,
        JOBS.c.status == RUNNING,
        JOBS.c.worker == job.worker,
        JOBS.c.attempts == job.attempts,
    )


def _dropped(connection: Any, ids: list[str], *which: ColumnElement[bool]) -> list[str]:  # noqa: ANN401
    """Remove the files of jobs, or some of them; those that no other job has."""
    files = delete(ASSETS).where(ASSETS.c.job.in_(ids), *which)
    return unused(connection, connection.execute(files.returning(ASSETS.c.digest)).scalars().all())


def _asset_row(job: str, asset: Asset) -> dict[str, Any]:
    return {"job": job, **{field.name: getattr(asset, field.name) for field in fields(Asset)}}


def _job(row: Row[Any]) -> Job:
    return Job(**row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
