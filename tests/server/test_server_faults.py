"""Whatever dies, every job ends: completed once, or failed with a reason; and what is delivered verifies."""

import contextlib
import io
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from live import Server, service_of
from PIL import Image
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from databases import free_port
from kinemark.provenance.detect import verify
from kinemark.provenance.records.ledger import Ledger
from kinemark.server import jobs as queue
from kinemark.server.app import api_app
from kinemark.server.asks import Generate
from kinemark.server.jobs import COMPLETED, FAILED, New
from kinemark.server.store import StorageError
from kinemark.server.tables import JOBS
from kinemark.server.worker import Worker
from kinemark.settings import Settings, load_settings

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


class Serving:
    """`kinemark serve` with a worker, killed and begun again; and a client that asks until it is answered."""

    def __init__(self, database, files):
        self.port = free_port()
        self._command = [sys.executable, "-m", "kinemark", "serve", "--port", str(self.port)]
        self._command += ["--database", database, "--storage", str(files)]
        self._begin()

    def _begin(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(self._command, env=os.environ | {"OMP_NUM_THREADS": "1"}, **quiet)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._begin()

    def enter(self, number):
        """Ask for a clip by a name of its own, again and again: it is one job, whenever the server was killed."""
        asked = {"prompt": "a red boat drifts across the sea", "seconds": "1", "size": "128x128", "seed": number}
        headers = {"Authorization": "Bearer any", "Idempotency-Key": f"number {number}"}
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                url = f"http://127.0.0.1:{self.port}/v1/videos"
                answer = httpx.post(url, json=asked, headers=headers, timeout=5)
                if answer.status_code == 200:
                    return answer.json()["id"]
            time.sleep(0.2)
        raise TimeoutError


@pytest.mark.slow
def test_the_server_is_killed_and_begun_again(database, tmp_path):
    """Every job that was accepted is there, once, and ends; its workers do not outlive it."""
    settings = load_settings()
    service = service_of(settings, database, tmp_path / "files")
    serving, moments, ids = Serving(database, tmp_path / "files"), random.Random(7), []
    try:
        for turn in range(6):
            ids += [serving.enter(turn), serving.enter(turn)]
            time.sleep(moments.uniform(0.0, 3.0))
            serving.kill()
        assert len(ids) == 12
        assert len(set(ids)) == 6
        wait_for(lambda: not set(service.jobs.counts()) - {COMPLETED, FAILED}, 240, "jobs are not over")
    finally:
        serving.process.terminate()
        serving.process.wait(60)
    assert sum(service.jobs.counts().values()) == 6
    assert check_all(service, set(ids), tmp_path) >= 3


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


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes, half of which is taken."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode()}")
    (folder / "ballast").write_bytes(bytes(1 << 20))
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk):
    """Take what is left of a disk; a file that lets go of it when it is removed."""
    with contextlib.suppress(OSError), (disk / "more").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return disk / "more"


def test_a_full_disk_costs_an_attempt_and_once_there_is_room_the_job_is_made(small_disk, tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", small_disk / "files")
    id_ = ask(service, 1).id
    worker = Worker(service.jobs, service.store, service.settings, lease=0.5)
    ballast = fill(small_disk)
    with pytest.raises(StorageError, match="see that it is there and has room"):
        worker.work()
    assert not service.jobs.assets(id_)
    ballast.unlink()
    time.sleep(0.6)
    assert worker.work()
    assert check_all(service, [id_], tmp_path) == 1


def test_a_disk_that_stays_full_ends_the_job_with_a_reason(small_disk, tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", small_disk / "files")
    id_ = ask(service, 1).id
    worker = Worker(service.jobs, service.store, service.settings, lease=0.3)
    fill(small_disk)
    for _ in range(queue.MAX_ATTEMPTS):
        with pytest.raises(StorageError):
            worker.work()
        time.sleep(0.4)
    assert not worker.work()
    job = service.jobs.get(id_)
    assert (job.status, job.error["code"]) == (FAILED, "worker_lost")
    assert not service.jobs.assets(id_)
    assert job.expires_at > job.completed_at


def test_an_upload_onto_a_full_disk_is_answered_and_enters_nothing(small_disk, tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", small_disk / "files")
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    held = io.BytesIO()
    Image.fromarray(noise).save(held, "PNG")
    ballast = fill(small_disk)
    files = {"input_reference": ("first.png", held.getvalue(), "image/png")}
    asked = {"prompt": "a red boat", "seconds": "1", "size": "256x256"}
    with TestClient(api_app(service), headers={"Authorization": "Bearer any"}) as http:
        answer = http.post("/v1/videos", data=asked, files=files)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
        assert http.get("/v1/videos").json()["data"] == []
        ballast.unlink()
        assert http.post("/v1/videos", data=asked, files=files).status_code == 200


def test_a_worker_that_is_not_heard_of_loses_its_job_and_delivers_nothing(database, tmp_path, monkeypatch):
    """Its network is cut while it works: another makes the clip, and what the first one made enters nowhere."""
    service = service_of(Settings(home=tmp_path / "home"), database, tmp_path / "files")
    id_ = ask(service, 1).id
    cut, other = (
        Worker(service.jobs, service.store, service.settings, name=name, lease=0.3) for name in ("cut", "other")
    )
    renew = service.jobs.renew

    def unheard(job, *rest):
        if job.worker == "cut":
            raise OperationalError("update", {}, OSError("no route"))
        return renew(job, *rest)

    monkeypatch.setattr(service.jobs, "renew", unheard)
    monkeypatch.setattr("kinemark.server.worker.BEAT", 0.05)
    keep_files, made = Worker._keep_files, threading.Event()

    def late(worker, released, folder):
        if worker is cut:
            assert made.wait(60)
        return keep_files(worker, released, folder)

    monkeypatch.setattr(Worker, "_keep_files", late)
    first = threading.Thread(target=cut.work)
    first.start()
    wait_for(lambda: service.jobs.get(id_).worker == "cut", 10, "it did not begin")
    wait_for(other.work, 10, "nobody took it over")
    made.set()
    first.join(60)
    job = service.jobs.get(id_)
    assert (job.status, job.worker, job.attempts) == (COMPLETED, "other", 2)
    assert check_all(service, [id_], tmp_path) == 1


def test_clocks_that_jump_change_nothing(database, tmp_path, monkeypatch):
    """Leases, turns and ends are by the database's clock: a worker whose own is years off works like any other."""
    service = service_of(Settings(home=tmp_path / "home"), database, tmp_path / "files")
    ids = [ask(service, number).id for number in range(2)]
    worker = Worker(service.jobs, service.store, service.settings)
    here = time.time
    for id_, jump in zip(ids, (-86_400.0, 86_400.0), strict=True):
        monkeypatch.setattr(time, "time", lambda jump=jump: here() + jump)
        assert worker.work()
        job = service.jobs.get(id_)
        assert job.status == COMPLETED
        assert abs(job.completed_at - here()) < 60
        assert abs(job.expires_at - here() - queue.KEEP) < 60
    monkeypatch.undo()
    assert check_all(service, ids, tmp_path) == 2


def upload_head(port, length):
    head = f"POST /v1/videos HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer any\r\n"
    head += f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {length}\r\n\r\n"
    head += '--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na boat\r\n'
    head += '--x\r\nContent-Disposition: form-data; name="input_reference"; filename="a.png"\r\n'
    return f"{head}Content-Type: image/png\r\n\r\n".encode()


def test_an_upload_that_breaks_off_enters_nothing_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", tmp_path / "files")
    with Server(api_app(service)) as server:
        for sent in (0, 100, 3 << 20):  # beyond a megabyte what comes is written to a file meanwhile
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(upload_head(server.port, 8 << 20) + bytes(sent))
        url = f"http://127.0.0.1:{server.port}"
        wait_for(lambda: not list((tmp_path / "tmp").iterdir()), 10, "a part of an upload lies about")
        answer = httpx.get(f"{url}/v1/videos", headers={"Authorization": "Bearer any"})
        assert answer.json()["data"] == []
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def test_slow_clients_keep_nobody_waiting(tmp_path):
    """A hundred that send a byte now and then, and one that reads a clip as slowly; the others are answered at once."""
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", tmp_path / "files")
    id_ = ask(service, 1).id
    worker = Worker(service.jobs, service.store, service.settings)
    assert worker.work()
    service.jobs._run(update(JOBS).values(owner="operator"))
    with Server(api_app(service)) as server, contextlib.ExitStack() as slow:
        clients = [slow.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(100)]
        for client in clients:
            client.sendall(upload_head(server.port, 1 << 20))
        reader = slow.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        reader.sendall(
            f"GET /v1/videos/{id_}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\n\r\n".encode()
        )
        times = []
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"Authorization": "Bearer any"}) as http:
            for turn in range(20):
                clients[turn].sendall(b"x")
                begun = time.monotonic()
                assert http.get(f"/v1/videos/{id_}").json()["status"] == COMPLETED
                times.append(time.monotonic() - begun)
        assert sorted(times)[len(times) // 2] < 1.0
        content = b""
        while b"\r\n\r\n" not in content:
            content += reader.recv(1 << 16)
        assert content.startswith(b"HTTP/1.1 200")
