"""A server that really listens, with a worker beside it, for tests: its model is real, tiny and random."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import uvicorn

from databases import free_port
from kinemark import catalogue
from kinemark.catalogue import Entry
from kinemark.server.database import open_database
from kinemark.server.jobs import Jobs
from kinemark.server.names import Names
from kinemark.server.service import Service
from kinemark.server.store import Store, open_store
from kinemark.server.worker import Worker
from kinemark.spark import TARGET
from kinemark.timeline import Capability
from tiny_models import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.settings import Settings

#: Everything that spark can; its pictures are nothing to look at.
MODEL = tiny_model(frozenset(Capability))


@dataclass(frozen=True)
class Live:
    """A server under test."""

    url: str
    service: Service
    worker: Worker

    @property
    def jobs(self) -> Jobs:
        return self.service.jobs

    @property
    def store(self) -> Store:
        return self.service.store


class Server:
    """uvicorn in a thread."""

    def __init__(self, app: object) -> None:
        self.port = free_port()
        config = uvicorn.Config(app, port=self.port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        until = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def service_of(settings: Settings, url: str, folder: Path | str, **changes: object) -> Service:
    """What a server of this installation shares, with the tiny model by the name of "tiny"."""
    catalogue.KNOWN["tiny"] = Entry(TARGET, lambda: MODEL)
    engine = open_database(url)
    service = Service.on(engine, open_store(folder), settings, Names("tiny"), keyless=True)
    return replace(service, **changes)


class Working:
    """A worker in a thread."""

    def __init__(self, service: Service) -> None:
        self.worker = Worker(service.jobs, service.store, service.settings)
        self._thread = threading.Thread(target=self.worker.run, daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self.worker

    def __exit__(self, *_: object) -> None:
        self.worker.stop.set()
        self._thread.join(30)
