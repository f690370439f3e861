"""The way of a request into the queue, whoever brings it: its words are judged, and sent again it is the same job."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool

from kinemark.admission import require_words
from kinemark.catalogue import find_model
from kinemark.generate import check_target
from kinemark.server.asks import REFERENCE, Generate
from kinemark.server.characters import require_named
from kinemark.server.fields import CreateFields, checked
from kinemark.server.jobs import New
from kinemark.server.problems import ProblemError
from kinemark.server.service import digest_of
from kinemark.server.tracing import TRACE, here
from kinemark.server.uploads import give_picture
from kinemark.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from kinemark.server.accounts import Account
    from kinemark.server.asks import Ask
    from kinemark.server.fields import Common
    from kinemark.server.jobs import Asset, Job
    from kinemark.server.service import Service

#: The code of what may be asked again later, when less waits.
FULL: Final = "rate_limit_exceeded"


@dataclass(frozen=True, slots=True)
class Sent:
    """How a request was sent.

    Attributes:
        name: what the client calls it; the same name again is the same job.
        again: whether the client got no answer the time before.
    """

    name: str | None = None
    again: bool = False


def sent_as(request: Request) -> Sent:
    """How this request was sent.

    Raises:
        ProblemError: its name is too long, or none.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 255:
        raise ProblemError(400, f"Idempotency-Key has {len(key)} characters; give 1 to 255", code="invalid_value")
    return Sent(key, request.headers.get("x-stainless-retry-count", "0") not in ("", "0"))


async def create(service: Service, account: Account, body: Mapping[str, Any], sent: Sent) -> Job:
    """Enter what POST /v1/videos asks for.

    Raises:
        ProblemError: a field is wrong, or there is no room.
        RefusedError: the prompt gate refuses.
        RequestError: there is no such model, or it makes no such clip.
    """
    asked = checked(CreateFields, body)
    require_named([character.id for character in asked.characters], asked.prompt)
    given = asked.input_reference
    assets = () if given is None else (await give_picture(service, account, REFERENCE, given, "input_reference"),)
    ask = Generate(**common(asked), size=asked.size, seconds=asked.seconds, scenes=asked.storyboard)
    return await enter(service, account, asked, ask, assets, sent=sent, seconds=asked.seconds)


def common(asked: Common) -> dict[str, Any]:
    """What every verb is asked alike, for its `Ask`."""
    return {
        name: getattr(asked, name) for name in ("prompt", "negative_prompt", "seed", "steps", "guidance", "preview")
    }


async def enter(
    service: Service,
    account: Account,
    asked: Common,
    ask: Ask,
    assets: tuple[Asset, ...],
    *,
    sent: Sent,
    seconds: float,
    source: Job | None = None,
) -> Job:
    """Judge the words, and put the job into the queue.

    Args:
        service: whose queue.
        account: who asks.
        asked: the fields of the request.
        ask: what a worker has to know.
        assets: files that were given.
        sent: how it was sent.
        seconds: length of what comes of it.
        source: the job whose clip it begins with.

    Raises:
        ProblemError: there is no room, or a file was lost on the way.
        RefusedError: the prompt gate refuses.
        RequestError: there is no such model, or it makes no such clip.
    """
    model = service.names.model(asked.model) if asked.model or source is None else source.model
    await run_in_threadpool(_require, service, ask, model, seconds)
    facts: dict[str, Any] = {"asked_model": asked.model, "metadata": asked.metadata, "seconds": seconds}
    if source is not None:
        facts["remixed_from"] = source.id
    said = ask.model_dump(mode="json")
    digest = digest_of([said, model, facts], *(asset.digest for asset in assets))
    if sent.again and (known := await run_in_threadpool(service.jobs.same, account.id, digest)) is not None:
        return known
    new = New(
        owner=account.id,
        model=model,
        # Whoever takes the job over makes the same clip.
        asked=said | {"seed": secrets.randbits(32) if ask.seed is None else ask.seed},
        facts=facts | {TRACE: here()},
        cost=await run_in_threadpool(service.paces.cost, model, seconds),
        seconds=seconds,
        body_digest=digest,
        priority=asked.priority,
        idempotency=sent.name,
        assets=assets,
    )
    job = await run_in_threadpool(lambda: service.jobs.add(new, limit=service.most_waiting, per_day=account.per_day))
    if job is None:
        raise _full(account)
    for asset in assets:  # a deletion of another job may have come between
        if not await run_in_threadpool(service.store.has, asset.digest):
            await run_in_threadpool(service.jobs.delete, job.id, account.id)
            raise ProblemError(503, "the file that was given was lost on the way; send it again", code="unavailable")
    return job


def _require(service: Service, ask: Ask, model: str, seconds: float) -> None:
    """Refuse at once what would be refused later.

    Raises:
        RefusedError: the prompt gate refuses.
        RequestError: there is no such model, or it makes no such clip.
    """
    target = find_model(model).target
    frames = max(1, round(seconds * target.fps))
    timeline = Timeline.from_text(ask.prompt, num_frames=frames, fps=target.fps, size=ask.made_at(target))
    check_target(timeline, target, model)
    prompts = (*timeline.prompts, *ask.then(target))
    words = replace(timeline, prompts=prompts, negative_prompt=ask.negative_prompt)
    require_words(words, service.settings)


def _full(account: Account) -> ProblemError:
    headers = {"Retry-After": "600", "x-should-retry": "false"}
    if account.per_day is not None:
        message = f"this key may ask for {account.per_day} clips a day, or too many clips wait; ask again later"
    else:
        message = "too many clips wait already; ask again later"
    return ProblemError(429, message, code=FULL, headers=headers)
