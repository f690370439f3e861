"""How much waits, how long that takes, and how many workers it asks for."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, case, func, or_, select

from kinemark.server.jobs import COMPLETED, QUEUED, RUNNING
from kinemark.server.tables import JOBS, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine

    from kinemark.server.jobs import Job


@dataclass(frozen=True, slots=True)
class Wait:
    """How many jobs come before one, and seconds until it begins; None where no worker is at work."""

    ahead: int
    seconds: float | None


#: Clips that are looked back at, and seconds for which what they took is remembered.
LAST, REMEMBERED = 21, 30.0
_MOST_MODELS: Final = 1000


@dataclass(frozen=True, slots=True)
class Depth:
    """Jobs of a model: those that wait for a worker, those that one has, and when the oldest was asked for."""

    waiting: int
    running: int
    since: float


def depths(engine: Engine) -> dict[str, Depth]:
    """The jobs that are not over, by model; one that was lost with its worker waits."""
    lost = and_(JOBS.c.status == RUNNING, JOBS.c.lease_until < now())
    waits = case((or_(JOBS.c.status == QUEUED, lost), 1), else_=0)
    statement = (
        select(JOBS.c.model, func.sum(waits), func.count(), func.min(JOBS.c.created_at))
        .where(JOBS.c.status.in_((QUEUED, RUNNING)))
        .group_by(JOBS.c.model)
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    return {str(model): Depth(int(waits), int(both) - int(waits), float(since)) for model, waits, both, since in rows}


class Paces:
    """What a second of a clip takes a worker, by model: the middle one of the last clips that were made.

    Asked of the database at most every `REMEMBERED` seconds. Nobody has made a clip with a new model yet: it counts as
    taking as long as it lasts.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, float]] = {}

    def cost(self, model: str, seconds: float) -> float:
        """About how many seconds of a worker's time a clip takes."""
        return seconds * self.pace(model)

    def pace(self, model: str) -> float:
        """Seconds of work for a second of a clip."""
        until, pace = self._known.get(model, (0.0, 1.0))
        if time.monotonic() < until:
            return pace
        if len(self._known) > _MOST_MODELS:
            self._known.clear()
        pace = self._measured(model)
        self._known[model] = (time.monotonic() + REMEMBERED, pace)
        return pace

    def wait(self, job: Job) -> Wait:
        """What a queued job waits for, about: fairness between owners may change its turn."""
        before = or_(
            JOBS.c.priority > job.priority,
            and_(JOBS.c.priority == job.priority, JOBS.c.created_at < job.created_at),
        )
        queued, running = JOBS.c.status == QUEUED, JOBS.c.status == RUNNING
        left = case((running, JOBS.c.cost * (100 - JOBS.c.progress) / 100.0), else_=JOBS.c.cost)
        columns = (func.sum(case((queued, 1), else_=0)), func.sum(case((running, 1), else_=0)), func.sum(left))
        statement = select(*columns).where(or_(running, and_(queued, before)))
        with self._engine.connect() as connection:
            ahead, workers, seconds = connection.execute(statement).one()
        return Wait(int(ahead or 0), float(seconds) / int(workers) if workers else None)

    def _measured(self, model: str) -> float:
        made = (JOBS.c.model == model, JOBS.c.status == COMPLETED, JOBS.c.seconds > 0)
        statement = (
            select((JOBS.c.completed_at - JOBS.c.started_at) / JOBS.c.seconds)
            .where(*made)
            .order_by(JOBS.c.completed_at.desc())
            .limit(LAST)
        )
        with self._engine.connect() as connection:
            paces = [float(pace) for pace in connection.execute(statement).scalars()]
        return max(0.01, statistics.median(paces)) if paces else 1.0


def wanted(depth: Mapping[str, Depth], warm: str, most: int) -> dict[str, int]:
    """How many workers each model is to have: one for each job, as long as there are not more than `most`.

    Every model with a job has one before any has two; where there are more models than workers, those whose jobs wait
    longest have one. The `warm` model has one even without a job, unless others need it.

    Args:
        depth: jobs by model.
        warm: the model whose first clip is to begin at once.
        most: workers in all, 1 or more.
    """
    jobs = {model: one.waiting + one.running for model, one in depth.items() if one.waiting + one.running}
    first = sorted(jobs, key=lambda model: (depth[model].since, model))[:most]
    asked = dict.fromkeys(first if warm in first or len(first) == most else [*first, warm], 1)
    for _ in range(most - len(asked)):
        lacking = max(first, key=lambda model: (jobs[model] - asked[model], model), default=None)
        if lacking is None or jobs[lacking] <= asked[lacking]:
            break
        asked[lacking] += 1
    return asked
