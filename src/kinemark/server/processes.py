"""Workers as processes beside the server: begun with it, begun again when they end, stopped with it."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType


#: Seconds that a worker has to give its job back before it is ended.
GRACE: Final = 20.0
_LOOK: Final = 0.5
#: Seconds before a worker that ended at once is begun again; doubled each time, up to a minute.
_AGAIN: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


class Workers:
    """So many worker processes; a context manager.

    Args:
        count: how many.
        arguments: of `kinemark worker`.
    """

    def __init__(self, count: int, arguments: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "kinemark", "worker", "--until-stdin-ends", *arguments]
        self._running: list[subprocess.Popen[bytes]] = []
        self._count, self._over = count, threading.Event()
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)

    def _watch(self) -> None:
        pause, begun = _AGAIN, time.monotonic()
        while not self._over.wait(_LOOK):
            ended = [worker for worker in self._running if worker.poll() is not None]
            for worker in ended:
                assert worker.stdin is not None
                worker.stdin.close()
                _LOG.warning("worker %d ended with %s; another is begun", worker.pid, worker.returncode)
                pause = _AGAIN if time.monotonic() - begun > 60 else min(60.0, 2 * pause)
                if self._over.wait(pause):
                    return
                begun = time.monotonic()
                self._running[self._running.index(worker)] = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        # Out of the terminal's reach, whose interrupt is for the server; the pipe ends when the server does.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603  our own

    def __enter__(self) -> Self:
        self._running = [self._begin() for _ in range(self._count)]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for worker in self._running:
            worker.terminate()
            assert worker.stdin is not None
            worker.stdin.close()
        until = time.monotonic() + GRACE
        for worker in self._running:
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
