"""Where anybody may say that something is wrong: reports, takedowns and appeals, each with a clock and an answer.

| route | does |
|---|---|
| POST /v1/reports | says that a clip or a use breaks the policy |
| POST /v1/takedowns | asks that a clip be withdrawn: a likeness, an intimate picture, a copyright |
| POST /v1/appeals | asks that a refusal be looked at again |
| GET /v1/cases/{case_id} | the statement of reasons, and until when there is an answer |

Nobody needs a key for these. `kinemark report`, `takedown` and `appeal` answer them; what is decided to be removed is
entered in the ledger, and its content is not given out any more.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kinemark.errors import RequestError
from kinemark.provenance.records.opening import find_ledger
from kinemark.safety.desk.cases import MAX_TEXT, Desk
from kinemark.server.audit import note
from kinemark.server.fields import checked
from kinemark.server.forms import body_of
from kinemark.server.limits import CASES, LOOKS, Limits
from kinemark.server.problems import not_found, require_soon, source_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from kinemark.safety.desk.cases import Case
    from kinemark.safety.desk.clocks import Kind
    from kinemark.server.service import Service

#: What may be opened by anybody, by its path.
OPEN: Final[dict[str, Kind]] = {"reports": "report", "takedowns": "takedown", "appeals": "appeal"}


class CaseFields(BaseModel):
    """Of a report, a takedown or an appeal.

    Attributes:
        subject: a clip: its id here (`video_...`), the id or the name of its manifest; or the rule that refused.
        text: what is wrong.
        ground: why, as the clocks list it; the usual one if none.
        contact: how to reach whoever asks.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    subject: Annotated[str, Field(min_length=1, max_length=500)]
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    ground: Annotated[str, Field(max_length=40)] | None = None
    contact: Annotated[str, Field(max_length=500)] = ""


def desk_routes(service: Service, limits: Limits) -> list[Route]:
    """The routes, for an application.

    Args:
        service: whose desk.
        limits: how often a stranger may ask.
    """

    def opening(kind: Kind) -> Callable[[Request], Awaitable[Response]]:
        async def opened(request: Request) -> Response:
            require_soon(limits.wait(source_of(request), CASES), "from this address")
            asked = checked(CaseFields, await body_of(request))
            case = await run_in_threadpool(_open, service, kind, asked)
            note(request, case=case.id, subject=case.subject)
            return JSONResponse(case.statement())

        return opened

    async def told(request: Request) -> Response:
        require_soon(limits.wait(source_of(request), LOOKS), "from this address")
        id_ = request.path_params["case_id"]
        return JSONResponse(await run_in_threadpool(_statement, service, id_))

    return [
        *(Route(f"/v1/{path}", opening(kind), methods=["POST"]) for path, kind in OPEN.items()),
        Route("/v1/cases/{case_id}", told, methods=["GET"]),
    ]


def _open(service: Service, kind: Kind, asked: CaseFields) -> Case:
    with Desk(service.settings.desk_path) as desk:
        return desk.open_case(
            kind,
            subject=_clip(service, asked.subject.strip()),
            text=asked.text,
            ground=asked.ground,
            contact=asked.contact,
            now=dt.datetime.now(dt.UTC),
        )


def _statement(service: Service, id_: str) -> dict[str, Any]:
    if service.settings.desk_path.is_file():
        with Desk(service.settings.desk_path) as desk:
            try:
                case = desk.case(id_)
            except RequestError:
                pass
            else:
                if case.kind in OPEN.values():
                    return case.statement()
    raise not_found("case", id_, "its id was told when it was opened")


def _clip(service: Service, subject: str) -> str:
    """The id of a clip in the ledger, however it is named; what names no clip stays as it is."""
    job = service.jobs.get(subject) if subject.startswith("video_") else None
    if job is not None:
        return str(job.facts.get("credential", {}).get("id", subject))
    if subject.startswith("urn:") and (records := find_ledger(service.settings)) is not None:
        with records as ledger:
            entry = ledger.find_manifest(subject)
        return entry.id if entry else subject
    return subject
