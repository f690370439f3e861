"""What the routes share: the queue, the files, who asks, and how a job is told."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

from kinemark.provenance.records.opening import find_ledger
from kinemark.server.accounts import EVERYBODY, Accounts
from kinemark.server.audit import note
from kinemark.server.batches import Batches
from kinemark.server.depth import Paces
from kinemark.server.files import Files
from kinemark.server.jobs import COMPLETED, FAILED, QUEUED, RUNNING, Jobs
from kinemark.server.limits import CHANGES, KEYS, Limits
from kinemark.server.problems import ProblemError, not_found, require_soon, source_of
from kinemark.server.webhooks import Webhooks

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from starlette.requests import Request

    from kinemark.server.accounts import Account
    from kinemark.server.jobs import Job
    from kinemark.server.names import Names
    from kinemark.server.store import Store
    from kinemark.settings import Settings

#: Milliseconds between two looks at a job: clients read it once and keep to it.
POLL_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Service:
    """A server of clips.

    Attributes:
        jobs: the queue.
        store: where files lie.
        accounts: who may ask.
        webhooks: where owners want to be told.
        files: what owners keep by id.
        batches: requests that were sent as files.
        paces: what clips take.
        settings: the installation whose policy judges.
        names: models by what they are asked for as.
        keyless: whether it asks for no keys.
        most_waiting: seconds of computing that may wait at most.
        limits: how often somebody may ask.
    """

    jobs: Jobs
    store: Store
    accounts: Accounts
    webhooks: Webhooks
    files: Files
    batches: Batches
    paces: Paces
    settings: Settings
    names: Names
    keyless: bool = False
    most_waiting: float = 24 * 3600.0
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def on(cls, engine: Engine, store: Store, settings: Settings, names: Names, *, keyless: bool = False) -> Service:
        """A server with everything that it keeps in one database.

        Args:
            engine: the database.
            store: where files lie.
            settings: the installation whose policy judges.
            names: models by what they are asked for as.
            keyless: whether no keys are asked for, as long as none was made.
        """
        accounts = Accounts(engine)
        return cls(
            jobs=Jobs(engine),
            store=store,
            accounts=accounts,
            webhooks=Webhooks(engine),
            files=Files(engine),
            batches=Batches(engine),
            paces=Paces(engine),
            settings=settings,
            names=names,
            keyless=keyless and not accounts.any(),
        )

    async def account(self, request: Request, scope: str = "generate") -> Account:
        """Who asks.

        Raises:
            ProblemError: 401 if nobody known does, 403 if they may not, 429 if they ask too much.
        """
        kind, _, key = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            made = "whatever it says" if self.keyless else "which kinemark keys create makes"
            message = f"no API key was sent; send Authorization: Bearer km_..., {made}"
            raise ProblemError(401, message, code="missing_api_key")
        # Without keys the header is wanted all the same: pages in a browser cannot send it to another server unasked.
        if self.keyless and not key.startswith("km_"):
            note(request, account=EVERYBODY.id)
            return EVERYBODY
        account = self.accounts.believed(key.strip())
        if account is None:
            require_soon(self.limits.wait(source_of(request), KEYS), "from this address")
            account = await run_in_threadpool(self.accounts.find, key.strip())
        if account is None:
            raise ProblemError(
                401, "this API key is not in force; make one: kinemark keys create", code="invalid_api_key"
            )
        note(request, account=account.id)
        if scope not in account.scopes:
            may = ", ".join(sorted(account.scopes))
            raise ProblemError(403, f"this API key may {may}, and not {scope}", code="insufficient_scope")
        if request.method != "GET":
            require_soon(self.limits.wait(account.id, CHANGES), "with this key")
        return account

    async def job(self, request: Request, account: Account) -> Job:
        """The job that a path names.

        Raises:
            ProblemError: 404 if the account has none of this id.
        """
        id_ = request.path_params["video_id"]
        job = await run_in_threadpool(self.jobs.get, id_, account.id)
        if job is None:
            raise not_found("video", id_, "GET /v1/videos lists yours")
        return job

    def taken_down(self, job: Job) -> bool:
        """Whether it was decided that the clip of a job is not to be shown any more."""
        id_ = job.facts.get("credential", {}).get("id")
        if id_ is None or (records := find_ledger(self.settings)) is None:
            return False
        with records as ledger:
            return ledger.taken_down(id_)

    def told(self, job: Job) -> dict[str, Any]:
        """A job as the Videos API tells it, with what Kinemark knows beside under `kinemark`."""
        height, width = job.asked["size"]
        return {
            "id": job.id,
            "object": "video",
            "model": job.model,
            "status": job.status,
            "progress": job.progress,
            "created_at": int(job.created_at),
            "completed_at": None if job.completed_at is None else int(job.completed_at),
            "expires_at": None if job.expires_at is None else int(job.expires_at),
            "prompt": job.asked["prompt"],
            "size": f"{width}x{height}",
            "seconds": f"{job.facts.get('seconds', job.asked.get('seconds', 0)):g}",
            "remixed_from_video_id": job.facts.get("remixed_from"),
            "error": job.error,
            "kinemark": self._more(job),
        }

    def _more(self, job: Job) -> dict[str, Any]:
        more: dict[str, Any] = {
            key: job.facts[key]
            for key in ("asked_model", "metadata", "made", "seed", "credential", "labels")
            if job.facts.get(key)
        }
        more["priority"] = job.priority
        if job.status == QUEUED:
            wait = self.paces.wait(job)
            more["position"] = wait.ahead
            if wait.seconds is not None:
                more["starts_in_seconds"] = round(wait.seconds, 1)
        if job.status == RUNNING and job.started_at and job.progress:
            spent = max(0.0, time.time() - job.started_at)
            more["eta_seconds"] = round(spent * (100 - job.progress) / job.progress, 1)
        return more


def pending(job: Job) -> bool:
    """Whether a job is not done."""
    return job.status not in (COMPLETED, FAILED)


def digest_of(asked: Any, *files: str) -> str:  # noqa: ANN401  whatever JSON can hold
    """A digest of a request: of its fields and its files."""
    text = json.dumps([asked, *files], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
