"""How much waits, and how many workers that asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, or_, select

from kinemark.server.jobs import QUEUED, RUNNING
from kinemark.server.tables import JOBS, now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine


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
