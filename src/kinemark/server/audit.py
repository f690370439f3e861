"""The audit log: who did what here, a line of JSON each, in a file for each day; what was asked for is not in it.

    {"time": ..., "request": "req_...", "source": "192.0.2.1", "account": "9f3a...", "method": "POST",
     "route": "/v1/videos", "status": 200, "video": "video_..."}

Written for everything that changes something, for every download, and for every refusal; not for looks at how far a
clip is. Prompts are written only where the operator says so (`KINEMARK_AUDIT_PROMPTS=1`). Files older than
`KINEMARK_RETENTION_DAYS` are removed (`server.sweep`).
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from kinemark.server.limits import network

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import Scope

_NOTED: Final = "kinemark.noted"
_REFUSED: Final = (401, 403, 429)
_LOG: Final = logging.getLogger(__name__)


def note(request: Request, **facts: Any) -> None:  # noqa: ANN401  whatever JSON can hold
    """Say of a request what its line is to hold beside."""
    request.scope.setdefault(_NOTED, {}).update(facts)


class Audit:
    """The log of an installation.

    Args:
        folder: of its files.
        prompts: whether prompts are written, too.
    """

    def __init__(self, folder: Path, *, prompts: bool = False) -> None:
        self._folder, self._prompts = folder, prompts

    def write(self, scope: Scope, route: str, status: int, request: str) -> None:
        """Write a request that was answered, if it is of the kind that is written."""
        noted = scope.get(_NOTED, {})
        if not (noted.get("download") or status in _REFUSED or scope["method"] not in ("GET", "HEAD", "OPTIONS")):
            return
        now = dt.datetime.now(dt.UTC)
        line = {
            "time": now.isoformat(timespec="milliseconds"),
            "request": request,
            "source": network(scope["client"][0]) if scope.get("client") else None,
            "method": scope["method"],
            "route": route,
            "status": status,
            **scope.get("path_params", {}),
            **{key: value for key, value in noted.items() if key != "prompt" or self._prompts},
        }
        try:
            self._append(self._folder / f"{now.date().isoformat()}.jsonl", json.dumps(line) + "\n")
        except OSError:
            _LOG.exception("a line of the audit log could not be written")

    def forget(self, before: dt.date) -> int:
        """Remove the files of days before; how many."""
        old = [path for path in self._folder.glob("*.jsonl") if path.stem < before.isoformat()]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _append(self, path: Path, line: str) -> None:
        """Add a line in one step, so that those of several servers stay whole."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
