"""Looks after batches: reads their lines, enters them in the queue a few at a time, and writes what came of them.

Every step may be the last: a line is entered under a name of its own, so that entering it again is the same job.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kinemark.errors import RefusedError, RequestError
from kinemark.server.batches import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    EXPIRED,
    FAILED,
    VALIDATING,
    Line,
)
from kinemark.server.entering import FULL, Sent, create
from kinemark.server.files import BATCH_OUTPUT
from kinemark.server.jobs import COMPLETED as MADE
from kinemark.server.jobs import FAILED as NOT_MADE
from kinemark.server.problems import ProblemError, refused
from kinemark.server.store import MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.server.accounts import Account
    from kinemark.server.batches import Batch
    from kinemark.server.service import Service

ENDPOINT: Final = "/v1/videos"
MOST_LINES: Final = 50_000
#: Lines of a batch that are in the queue at once, and how they are placed there unless they say so themselves.
UNDER_WAY: Final = 16
PRIORITY: Final = -5
#: Seconds until a batch is looked after again while its clips are made.
AGAIN: Final = 2.0
#: Seconds for which what came of a batch is kept, where nobody asks for another time.
KEEP: Final = 24 * 3600.0
_MOST_ERRORS: Final = 100
JSON_LINES: Final = "application/jsonl"


def look_after(service: Service) -> bool:
    """Take the next step of the batch that waits longest; whether there was one."""
    batch = service.batches.due()
    if batch is None:
        return False
    if batch.status == VALIDATING:
        _validate(service, batch)
        return True
    under_way = _settle(service, batch)
    if batch.status == CANCELLING:
        _end(service, batch, CANCELLED, "the batch was cancelled before this clip was made")
    elif service.batches.out_of_time(batch):
        _end(service, batch, EXPIRED, "the batch ran out of time before this clip was made")
    elif _enter(service, batch, under_way):
        service.batches.later(batch, AGAIN)
    else:
        _end(service, batch, COMPLETED, "the API key was withdrawn before this clip was made")
    return True


def _validate(service: Service, batch: Batch) -> None:
    lines, errors = _read(service, batch)
    if errors:
        service.batches.end(batch, FAILED, errors=errors)
    else:
        service.batches.begin(batch, lines)


def _read(service: Service, batch: Batch) -> tuple[list[Line], list[dict[str, Any]]]:
    file = service.files.get(batch.input_file, batch.owner)
    if file is None:
        return [], [_error("file_not_found", "the input file was deleted", None)]
    with tempfile.TemporaryDirectory(prefix="kinemark-") as folder:
        path = Path(folder) / "lines.jsonl"
        try:
            service.store.fetch(file.digest, path)
        except MissingError as error:
            return [], [_error("file_not_found", str(error), None)]
        return read_lines(path)


def read_lines(path: Path) -> tuple[list[Line], list[dict[str, Any]]]:
    """The requests in a file, and what is wrong with it: a batch begins with every line right, or not at all."""
    lines: list[Line] = []
    errors: list[dict[str, Any]] = []
    known: set[str] = set()
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if number > MOST_LINES:
                errors.append(_error("too_many_lines", f"a batch has at most {MOST_LINES:,} lines", number))
                break
            if not text.strip():
                continue
            try:
                lines.append(_line(text, number, known))
            except RequestError as error:
                errors.append(_error("invalid_line", str(error), number))
                if len(errors) == _MOST_ERRORS:
                    break
    if not lines and not errors:
        errors.append(_error("empty_file", "the file has no line; write one request on each", None))
    return lines, errors


def _line(text: bytes, number: int, known: set[str]) -> Line:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the line is no JSON ({error})") from error
    if not isinstance(said, dict):
        raise RequestError("the line is no JSON object")
    custom_id, body = said.get("custom_id"), said.get("body")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= 512:
        raise RequestError("custom_id is to be a text of 1 to 512 characters")
    if custom_id in known:
        raise RequestError(f"custom_id {custom_id[:80]!r} stands in an earlier line; each line has its own")
    if said.get("method") != "POST" or said.get("url") != ENDPOINT:
        raise RequestError(f'method and url are to be "POST" and "{ENDPOINT}"')
    if not isinstance(body, dict):
        raise RequestError("body is to be a JSON object")
    known.add(custom_id)
    return Line(number, custom_id, body)


def _settle(service: Service, batch: Batch) -> int:
    """Write down what came of the lines whose jobs are over; how many are under way still."""
    left = 0
    under_way = service.batches.under_way(batch.id)
    states = service.batches.jobs_in(under_way)
    for line in under_way:
        assert line.job is not None
        state = states.get(line.job)
        if state is None:
            gone = {"code": "video_deleted", "message": f"{line.job} was deleted"}
            service.batches.answer(batch, line, {"response": None, "error": gone}, failed=True)
        elif state in (MADE, NOT_MADE) and (job := service.jobs.get(line.job, batch.owner)) is not None:
            service.batches.answer(batch, line, _answer(200, service.told(job)), failed=state == NOT_MADE)
        else:
            left += 1
    return left


def _enter(service: Service, batch: Batch, under_way: int) -> bool:
    """Enter as many lines as there is room for; whether the batch still waits for anything.

    Of a key that was withdrawn nothing more is made.
    """
    waiting = service.batches.waiting(batch.id, max(0, UNDER_WAY - under_way))
    account = service.accounts.get(batch.owner)
    if account is None:
        return False
    for line in waiting:
        if not _enter_line(service, batch, line, account):
            return True
        under_way += 1
    return under_way > 0 or bool(service.batches.waiting(batch.id, 1))


def _enter_line(service: Service, batch: Batch, line: Line, account: Account) -> bool:
    """Enter a line; False if there is no room for it now."""
    try:
        body = {"priority": PRIORITY} | line.body
        job = asyncio.run(create(service, account, body, Sent(name=f"{batch.id}:{line.number}")))
    except ProblemError as error:
        if error.error["code"] == FULL or error.status >= 500:
            return False
        service.batches.answer(batch, line, _answer(error.status, {"error": error.error}), failed=True)
    except RefusedError as error:
        service.batches.answer(batch, line, _answer(400, {"error": refused(error)}), failed=True)
    except RequestError as error:
        said = {"code": "invalid_request", "message": str(error)}
        service.batches.answer(batch, line, _answer(400, {"error": said}), failed=True)
    else:
        service.batches.entered(batch, line, job.id)
    return True


def _end(service: Service, batch: Batch, status: str, why: str) -> None:
    """Let go of what is not made, and write the files."""
    for line in service.batches.under_way(batch.id):
        assert line.job is not None
        _, unused = service.jobs.delete(line.job, batch.owner)
        service.store.drop(unused)
    service.batches.answer_rest(batch, {"response": None, "error": {"code": f"batch_{status}", "message": why}})
    counts = service.batches.counts(batch.id)
    output = _write(service, batch, failed=False) if counts["completed"] else None
    errors = _write(service, batch, failed=True) if counts["failed"] else None
    service.batches.end(batch, status, output_file=output, error_file=errors)


def _write(service: Service, batch: Batch, *, failed: bool) -> str:
    """Write the answers of one kind into a file of the owner's; its id."""
    kind = "errors" if failed else "output"
    keep = (batch.asked.get("output_expires_after") or {}).get("seconds", KEEP)
    with tempfile.TemporaryDirectory(prefix="kinemark-") as folder:
        path = Path(folder) / kind
        with path.open("w", encoding="utf-8") as file:
            for line in _answers(service, batch, failed=failed):
                said = {"id": f"batch_req_{batch.id[6:]}_{line.number}", "custom_id": line.custom_id, **line.answer}
                file.write(json.dumps(said) + "\n")
        kept = service.store.put(path)
    made = service.files.add(batch.owner, BATCH_OUTPUT, f"{batch.id}_{kind}.jsonl", kept, JSON_LINES, keep)
    assert made is not None
    return made.id


def _answers(service: Service, batch: Batch, *, failed: bool) -> Iterator[Any]:
    number = 0
    while lines := service.batches.answered(batch.id, after=number, failed=failed, most=500):
        yield from lines
        number = lines[-1].number


def _answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": status, "request_id": f"req_{secrets.token_hex(12)}", "body": body}
    return {"response": response, "error": None}


def _error(code: str, message: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}
