"""Workers on many machines: Ray places them where their model has room, as many as the queue is deep.

Ray holds nothing that anybody would miss. The queue, its leases and the files lie where they lie without it; a machine
that goes takes its workers with it, their leases run out, and the jobs go on elsewhere from their last blocks. What
cannot be placed waits for Ray's own autoscaler, which adds machines, and takes them away once workers have left.

Every machine has what `kinemark worker` needs: the same database, storage, ledger and `KINEMARK_HOME`. The server is on
one of them, and all have the cluster's token (`RAY_AUTH_MODE=token`, `RAY_AUTH_TOKEN`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from kinemark.catalogue import find_model
from kinemark.errors import FailureError, RequestError
from kinemark.server.database import open_database
from kinemark.server.depth import depths, wanted
from kinemark.server.jobs import LEASE, Jobs
from kinemark.server.repeat import repeat
from kinemark.server.store import open_store
from kinemark.server.tracing import start_tracing
from kinemark.server.worker import Worker
from kinemark.settings import load_settings, without_usage_statistics

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy import Engine

#: Seconds between two looks at the queue and at the workers.
LOOK: Final = 1.0
#: Seconds for which a worker that has nothing to do keeps its model.
WARM: Final = 120.0
#: Seconds for which a cluster that does not answer is asked again.
JOIN: Final = 30.0
#: Seconds that a worker has to give its job back before it is ended.
GRACE: Final = 20.0
#: What machines with GPUs announce as a resource, in GiB, so that a model goes where it has room.
GPU_MEMORY: Final = "gpu_memory"
#: Workers where only `ray` is said, and the most that may be asked for.
USUAL, MOST = 4, 1000
#: Of a GPU's memory, what weights may take; the rest is for what is computed.
_SHARE: Final = 0.8
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """What a worker says of itself: its process, and for how many seconds it has had nothing to do."""

    pid: int
    idle: float


class Actor:
    """A worker of one model, in a process that Ray began."""

    def __init__(self, database: str, storage: str, model: str, lease: float) -> None:
        jobs, store, settings = Jobs(open_database(database)), open_store(storage), load_settings()
        start_tracing(settings, "kinemark-worker")
        self._worker = Worker(jobs, store, settings, models=(model,), lease=lease)
        self._thread = threading.Thread(target=self._worker.run, daemon=True)
        self._thread.start()

    def state(self) -> State:
        """How it is.

        Raises:
            RuntimeError: it works no more.
        """
        if not self._thread.is_alive():
            raise RuntimeError("the worker ended")
        return State(os.getpid(), self._worker.idle)

    def stop(self) -> None:
        """Give the job back, and end."""
        self._worker.stop.set()
        self._thread.join()


@dataclass(slots=True)
class _Placed:
    """An actor, what it makes, and what it said last; None until Ray has placed it."""

    actor: Any
    model: str
    question: Any
    state: State | None = None


class RayWorkers:
    """Workers on a Ray cluster; a context manager.

    Args:
        address: of the cluster, such as head:6379; empty: Ray is begun on this machine.
        database: the queue.
        storage: the files.
        warm: the model that always has a worker.
        most: workers at the most.
        lease: seconds for which a job is a worker's without being heard of.

    Raises:
        RequestError: Ray is not installed, or several machines were to share a file.
        FailureError: no cluster answers.
    """

    def __init__(
        self, address: str, database: str, storage: str, *, warm: str, most: int, lease: float = LEASE
    ) -> None:
        self._ray, self._address = _ray(), address
        self._arguments = (database, storage)
        self._warm, self._most, self._lease = warm, most, lease
        self._placed: list[_Placed] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=repeat, args=(self._look, LOOK, self._over), daemon=True)
        self._engine: Engine | None = None

    def states(self) -> list[State]:
        """What workers said last, of those that Ray has placed."""
        return [one.state for one in list(self._placed) if one.state is not None]

    def _look(self) -> bool:
        """Learn how workers are, begin some and let some go; there is nothing more to do at once."""
        if self._engine is None:
            self._engine = open_database(self._arguments[0])
        self._placed = [one for one in self._placed if self._lives(one)]
        for model, count in wanted(depths(self._engine), self._warm, self._most).items():
            have = sum(one.model == model for one in self._placed)
            for _ in range(count - have):
                self._make_room()
                if len(self._placed) < self._most:
                    self._placed.append(self._begin(model))
        self._leave()
        return False

    def _begin(self, model: str) -> _Placed:
        actor = self._ray.remote(**self._needs(model))(Actor).remote(*self._arguments, model, self._lease)
        _LOG.info("a worker for %s was asked for", model)
        return _Placed(actor, model, actor.state.remote())

    def _needs(self, model: str) -> dict[str, Any]:
        """What a machine has to have for a model.

        A model of the Wan family takes a GPU, and where machines say how much memory theirs have, one with room for it.
        """
        try:
            memory = find_model(model).weights
        except RequestError:  # whoever takes such a job says so to whoever asked
            memory = None
        cluster = self._ray.cluster_resources()
        if memory is None or not cluster.get("GPU"):
            return {"num_cpus": 1}
        gpu: dict[str, Any] = {"num_cpus": 1, "num_gpus": 1}
        if cluster.get(GPU_MEMORY):
            gpu["resources"] = {GPU_MEMORY: max(1, round(memory / _SHARE / (1 << 30)))}
        return gpu

    def _lives(self, one: _Placed) -> bool:
        """Read the answer of a worker, if it has come, and ask again; False if it is dead."""
        done, _ = self._ray.wait([one.question], timeout=0)
        if not done:
            return True
        try:
            one.state = self._ray.get(one.question)
        except (self._ray.exceptions.RayError, RuntimeError) as error:
            _LOG.warning("a worker for %s is gone (%s)", one.model, type(error).__name__)
            self._ray.kill(one.actor)
            return False
        one.question = one.actor.state.remote()
        return True

    def _make_room(self) -> None:
        """Where there are as many workers as there may be, one that has nothing to do makes room for another model."""
        idle = [one for one in self._placed if one.state is not None and one.state.idle > LOOK]
        if len(self._placed) >= self._most and idle:
            self._end(max(idle, key=lambda one: one.state.idle if one.state else 0.0))

    def _leave(self) -> None:
        """Let go of workers that had nothing to do for long, but for one of the warm model."""
        for one in list(self._placed):
            alone = one.model == self._warm and sum(other.model == one.model for other in self._placed) == 1
            if one.state is not None and one.state.idle > WARM and not alone:
                self._end(one)

    def _end(self, one: _Placed) -> None:
        self._placed.remove(one)
        self._ray.wait([one.actor.stop.remote()], timeout=GRACE)
        self._ray.kill(one.actor)

    def __enter__(self) -> Self:
        if self._address:
            self._join()
        elif not self._ray.is_initialized():
            without_usage_statistics()
            self._ray.init("local", include_dashboard=False, log_to_driver=False, configure_logging=False)
        machines = sum(node["Alive"] for node in self._ray.nodes())
        if machines > 1 and self._arguments[0].startswith("sqlite"):
            raise RequestError(
                f"{machines} machines are to share {self._arguments[0]!r}, which is a file; give postgresql://..."
            )
        self._thread.start()
        return self

    def _join(self) -> None:
        """Connect to a cluster; one that begins takes a moment, and may refuse before it answers."""
        until = time.monotonic() + JOIN
        while True:
            try:
                self._ray.init(self._address, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                if time.monotonic() < until:
                    time.sleep(LOOK)
                    continue
                said = str(error).splitlines()[0]
                raise FailureError(
                    f"no Ray cluster answers at {self._address!r} ({said}); see that it runs, and RAY_ADDRESS"
                ) from error
            else:
                return

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._ray.wait([one.actor.stop.remote() for one in self._placed] or [self._ray.put(None)], timeout=GRACE)
        for one in self._placed:
            self._ray.kill(one.actor)
        self._ray.shutdown()


def _ray() -> Any:  # noqa: ANN401  it has no types
    try:
        import ray
        import ray.exceptions
    except ModuleNotFoundError as error:
        raise RequestError("workers on Ray need it; install it: pip install 'kinemark[ray]'") from error
    return ray


def parse_workers(text: str) -> tuple[int, int]:
    """What `--workers` says: how many processes beside the server, and how many workers on Ray at the most.

    Raises:
        RequestError: it is neither a number, nor `ray`, nor `ray:NUMBER`.
    """
    kind, colon, most = text.partition(":")
    if text.isascii() and text.isdigit() and len(text) < 5:
        return int(text), 0
    if kind == "ray" and (not colon or (most.isascii() and most.isdigit() and 1 <= int(most[:5]) <= MOST)):
        return 0, int(most) if most else USUAL
    raise RequestError(f"workers is {text!r}; give a number of processes, or ray, or ray:NUMBER (1 to {MOST})")
