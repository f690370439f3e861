"""Whether something was made here, asked in the form that newer SDKs have for it.

| route | answers |
|---|---|
| POST /v1/content_provenance_checks | for a `file`: what its manifest says, and what its pixels carry |

`results` has one entry for each signal, by `type`: `c2pa` as the SDKs know it, then Kinemark's own, each with an
`outcome` that is `detected` or `not_detected`. The answer in words stands under `kinemark`, with what a negative does
not mean.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kinemark.provenance.detect import verify
from kinemark.provenance.footage import Footage
from kinemark.provenance.records.opening import find_ledger
from kinemark.server.fields import checked
from kinemark.server.forms import body_of
from kinemark.server.limits import CONTENT, Limits
from kinemark.server.problems import require_soon
from kinemark.server.uploads import PICTURES, VIDEOS, read_upload, require_upload, written

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from kinemark.provenance.findings import Finding
    from kinemark.provenance.records.ledger import Entry
    from kinemark.server.service import Service

_STATES: Final = {"match": "trusted", "hint": "valid", "invalid": "invalid", "none": "not_present"}


class CheckFields(BaseModel):
    """Of POST /content_provenance_checks."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: Any


def check_routes(service: Service, limits: Limits) -> list[Route]:
    """The route, for an application.

    Args:
        service: whose releases are known.
        limits: how often somebody may ask, and about one picture.
    """

    async def check(request: Request) -> Response:
        account = await service.account(request, "verify")
        require_soon(limits.wait(account.id, CONTENT), "with this key")
        try:
            sent = require_upload(checked(CheckFields, await body_of(request)).file, "file")
            with written(await read_upload(sent, "file"), PICTURES | VIDEOS, "file") as (path, _):
                footage = await run_in_threadpool(Footage.of, path)
                seen = await run_in_threadpool(lambda: footage.fingerprint)
                require_soon(limits.wait_for_picture(seen.clip), "about this picture, or one that is nearly the same")
                return JSONResponse(await run_in_threadpool(_told, service, path, footage))
        finally:
            await request.close()

    return [Route("/v1/content_provenance_checks", check, methods=["POST"])]


def _told(service: Service, path: Path, footage: Footage) -> dict[str, Any]:
    """Verdicts without scores: nothing tells how near a miss was."""
    settings = service.settings
    verified = verify(path, settings, footage=footage)
    entry = None
    if verified.id and verified.recognised and (records := find_ledger(settings)) is not None:
        with records as ledger:
            entry = ledger.find(verified.id)
    results = [_c2pa(finding, entry) for finding in verified.findings if finding.signal == "credentials"]
    results += [
        {"type": f"kinemark_{finding.signal}", **_seen(finding, entry)}
        for finding in verified.findings
        if finding.signal not in ("credentials", "other")
    ]
    told = {key: value for key, value in verified.to_dict().items() if key != "findings"}
    return {
        "object": "content_provenance_check",
        "created_at": int(time.time()),
        "results": results,
        "kinemark": told,
    }


def _c2pa(finding: Finding, entry: Entry | None) -> dict[str, Any]:
    state = {"validation_state": _STATES[finding.verdict], "issuer": finding.detail.get("signer")}
    return {"type": "c2pa", **_seen(finding, entry), **state}


def _seen(finding: Finding, entry: Entry | None) -> dict[str, Any]:
    """What a signal says; what made it and when is the ledger's word, and stands where the signal was found."""
    if finding.verdict == "none" or entry is None:
        outcome = "not_detected" if finding.verdict == "none" else "detected"
        return {"outcome": outcome, "model": None, "generated_at": None}
    return {"outcome": "detected", "model": entry.body["model"], "generated_at": entry.time}
