"""Whatever dies, every job ends: completed once, or failed with a reason; and what is delivered verifies."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live import service_of
from sqlalchemy.exc import OperationalError

from kinemark.provenance.detect import verify
from kinemark.provenance.records.ledger import Ledger
from kinemark.server import jobs as queue
from kinemark.server.asks import Generate
from kinemark.server.jobs import COMPLETED, FAILED, New
from kinemark.server.worker import Worker
from kinemark.settings import Settings

SCRIPT = Path(__file__).with_name("worker_process.py")


class Pool:
    """Worker processes that are begun again when they are killed."""

    def __init__(self, count, home, database, files):
        self._command = [sys.executable, str(SCRIPT), str(home), database, str(files)]
        self._environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.workers = [self._begin() for _ in range(count)]

    def _begin(self):
        return subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._environment
        )

    def kill(self, turn):
        worker = self.workers[turn % len(self.workers)]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        self.workers[turn % len(self.workers)] = self._begin()

    def end(self):
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(30)


def ask(service, number):
    asked = Generate(prompt="a red boat drifts across the sea", size=(128, 128), seconds=1.0, seed=number)
    return service.jobs.add(New("me", "tiny", asked.model_dump(mode="json"), {"seconds": 1.0}, 1.0, str(number)))


def wait_for(condition, seconds, what):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def check_all(service, ids, tmp_path):
    """Every job is over, and everything that was delivered is a clip of this installation."""
    completed = 0
    for number, id_ in enumerate(ids):
        job = service.jobs.get(id_)
        assert job.status in (COMPLETED, FAILED), id_
        if job.status == FAILED:
            assert job.error["code"] == "worker_lost"
            continue
        completed += 1
        video = service.jobs.assets(id_)["video"]
        path = tmp_path / f"{number}.mp4"
        service.store.fetch(video.digest, path)
        assert verify(path, service.settings).recognised
        with Ledger.open(service.settings.ledger_path) as ledger:
            assert ledger.find(job.facts["credential"]["id"])
            assert not ledger.verify_chain()
    return completed


@pytest.mark.slow
def test_workers_are_killed_at_fifty_moments(database, tmp_path, monkeypatch):
    """As long as there are kills no job may be given up for it: whoever is last makes it."""
    settings = Settings(home=tmp_path / "home")
    service = service_of(settings, database, tmp_path / "files")
    moments = random.Random(int(database.startswith("sqlite")))
    ids = [ask(service, number).id for number in range(8)]
    pool = Pool(2, settings.home, database, tmp_path / "files")
    try:
        for turn in range(25):  # on each of two databases
            time.sleep(moments.uniform(0.0, 5.0))
            pool.kill(turn)
        wait_for(lambda: not set(service.jobs.counts()) - {COMPLETED, FAILED}, 180, "jobs are not over")
    finally:
        pool.end()
    completed = check_all(service, ids, tmp_path)
    assert completed >= len(ids) // 2
    assert queue.MAX_ATTEMPTS == 3


@pytest.mark.slow
def test_the_database_goes_away_and_comes_back(postgres_server, tmp_path):
    settings = Settings(home=tmp_path / "home")
    address = postgres_server.url("restarted")
    service = service_of(settings, address, tmp_path / "files")
    ids = [ask(service, number).id for number in range(3)]
    pool = Pool(1, settings.home, address, tmp_path / "files")
    try:
        wait_for(lambda: service.jobs.counts().get(queue.RUNNING), 60, "no job was begun")
        postgres_server.stop("immediate")
        time.sleep(1)
        postgres_server.start()
        wait_for(lambda: not set(service.jobs.counts()) - {COMPLETED, FAILED}, 120, "jobs are not over")
        assert pool.workers[0].poll() is None  # it went on by itself
    finally:
        pool.end()
    assert check_all(service, ids, tmp_path) == 3


@pytest.mark.slow
def test_told_to_stop_a_worker_gives_its_job_to_the_next(database, tmp_path):
    settings = Settings(home=tmp_path / "home")
    service = service_of(settings, database, tmp_path / "files")
    id_ = ask(service, 1).id
    pool = Pool(1, settings.home, database, tmp_path / "files")
    wait_for(lambda: service.jobs.get(id_).status == queue.RUNNING, 60, "the job was not begun")
    pool.end()
    job = service.jobs.get(id_)
    assert (job.status, job.attempts) in ((queue.QUEUED, 0), (COMPLETED, 1))
    pool = Pool(1, settings.home, database, tmp_path / "files")
    wait_for(lambda: service.jobs.get(id_).status == COMPLETED, 60, "the next one did not make it")
    pool.end()


def test_a_database_that_is_away_at_the_end_costs_an_attempt_and_not_the_job(tmp_path, monkeypatch):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", tmp_path / "files")
    id_ = ask(service, 1).id
    worker = Worker(service.jobs, service.store, service.settings, lease=0.5)
    complete = service.jobs.complete

    def away(*_):
        monkeypatch.setattr(service.jobs, "complete", complete)
        raise OperationalError("update", {}, OSError("connection reset"))

    monkeypatch.setattr(service.jobs, "complete", away)
    with pytest.raises(OperationalError):
        worker.work()
    assert service.jobs.get(id_).status == queue.RUNNING
    time.sleep(0.6)
    assert worker.work()
    assert (service.jobs.get(id_).status, service.jobs.get(id_).attempts) == (COMPLETED, 2)


def test_a_full_disk_fails_the_job_and_leaves_nothing(tmp_path, monkeypatch):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", tmp_path / "files")
    id_ = ask(service, 1).id
    worker = Worker(service.jobs, service.store, service.settings)

    def full(_store, _path):
        from kinemark.errors import FailureError

        raise FailureError("the storage fails (No space left on device); see that it is there and has room")

    monkeypatch.setattr(type(service.store), "put", full)
    assert worker.work()
    job = service.jobs.get(id_)
    assert (job.status, job.error["code"]) == (FAILED, "server_error")
    assert "has room" in job.error["message"]
    assert not service.jobs.assets(id_)
