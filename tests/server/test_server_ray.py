"""Workers on Ray: a worker dies, the job moves; many jobs bring workers, and they leave when there is nothing to do."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from live import service_of
from test_server_faults import wait_for

from databases import free_port
from kinemark import catalogue
from kinemark.catalogue import Entry, find_model
from kinemark.errors import FailureError, RequestError
from kinemark.provenance.detect import verify
from kinemark.server import on_ray
from kinemark.server.asks import Generate
from kinemark.server.jobs import COMPLETED, RUNNING, New
from kinemark.server.on_ray import GPU_MEMORY, RayWorkers, parse_workers
from kinemark.settings import load_settings
from kinemark.spark import TARGET
from kinemark.wan.releases import RELEASES


@pytest.fixture
def cluster(_own_home):
    """Ray on this machine, as if it had two cores; processes that it begins have this test's own home."""
    on_ray.without_usage_statistics()
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80 << 20,
        runtime_env={"env_vars": {"KINEMARK_HOME": str(_own_home)}},
    )
    yield
    ray.shutdown()


@pytest.mark.slow
def test_a_worker_dies_and_its_job_moves(cluster, postgres_server, tmp_path):
    """With the model that ships: two workers, of which one is killed while it works."""
    settings = load_settings()
    database, files = postgres_server.url("ray"), str(tmp_path / "files")
    service = service_of(settings, database, files)
    asked = Generate(prompt="a red boat drifts across the sea", size=(128, 128), seconds=2.0)
    ids = []
    for number in range(4):
        said = asked.model_dump(mode="json") | {"seed": number}
        ids.append(service.jobs.add(New("me", "spark", said, {"seconds": 2.0}, 2.0, str(number))).id)
    with RayWorkers("", database, files, warm="spark", most=2, lease=4.0) as workers:
        wait_for(lambda: service.jobs.counts().get(RUNNING) == 2, 120, "two workers do not work")
        wait_for(lambda: len({state.pid for state in workers.states()}) == 2, 30, "they say nothing")
        killed = workers.states()[0].pid
        holder = next(job for id_ in ids if (job := service.jobs.get(id_)).worker and f":{killed}:" in job.worker)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: not set(service.jobs.counts()) - {COMPLETED}, 240, "jobs are not over")
        assert killed not in {state.pid for state in workers.states()}
    moved = service.jobs.get(holder.id)
    assert moved.attempts == 2
    assert f":{killed}:" not in moved.worker
    for number, id_ in enumerate(ids):
        path = tmp_path / f"{number}.mp4"
        service.store.fetch(service.jobs.assets(id_)["video"].digest, path)
        assert verify(path, settings).recognised


class Asked:
    """What Ray is told, in place of Ray: machines with GPUs are not to be had here."""

    def __init__(self, **resources):
        self.resources = resources

    def cluster_resources(self):
        return self.resources


LARGE = max(RELEASES, key=lambda name: RELEASES[name].parameters)


@pytest.mark.parametrize(
    ("model", "resources", "needs"),
    [
        ("spark", {"CPU": 2.0, "GPU": 1.0}, {"num_cpus": 1}),
        (LARGE, {"CPU": 2.0}, {"num_cpus": 1}),
        (LARGE, {"CPU": 2.0, "GPU": 1.0}, {"num_cpus": 1, "num_gpus": 1}),
    ],
)
def test_where_a_model_is_placed(model, resources, needs, monkeypatch):
    workers = RayWorkers("", "sqlite:///x", "files", warm="spark", most=1)
    monkeypatch.setattr(workers, "_ray", Asked(**resources))
    assert workers._needs(model) == needs


def test_a_large_model_goes_where_it_has_room(monkeypatch):
    workers = RayWorkers("", "sqlite:///x", "files", warm="spark", most=1)
    monkeypatch.setattr(workers, "_ray", Asked(CPU=8.0, GPU=2.0, **{GPU_MEMORY: 104.0}))
    asked = {}
    for name in RELEASES:
        weights = find_model(name).weights
        asked[name] = workers._needs(name)["resources"][GPU_MEMORY]
        assert asked[name] * (1 << 30) >= weights
    assert min(asked.values()) < 8 < 24 < max(asked.values())


@pytest.mark.slow
def test_workers_come_with_the_queue_and_leave_after_it(cluster, postgres_server, tmp_path, monkeypatch):
    """Two models on two cores: when one has nothing to do it makes room for the other, and the warm one stays."""
    monkeypatch.setattr(on_ray, "WARM", 2.0)
    monkeypatch.setitem(catalogue.KNOWN, "other", Entry(TARGET, catalogue.KNOWN["spark"].load))
    database = postgres_server.url("scaled")
    service = service_of(load_settings(), database, tmp_path / "files")
    with RayWorkers("", database, str(tmp_path / "files"), warm="spark", most=2) as workers:

        def placed():
            return Counter(one.model for one in workers._placed if one.state)

        wait_for(lambda: placed() == {"spark": 1}, 60, "the warm model has no worker")
        for number in range(3):
            service.jobs.add(New("me", "other", {"no": "ask"}, {}, 1.0, str(number)))
        wait_for(lambda: placed()["other"] >= 1, 60, "the other model has no worker")
        # What they were asked is nothing that they know: such jobs end at once, with a reason.
        wait_for(lambda: service.jobs.counts() == {"failed": 3}, 60, "jobs are not over")
        wait_for(lambda: placed() == {"spark": 1}, 60, "they do not leave")


@pytest.mark.slow
def test_a_cluster_elsewhere(postgres_server, tmp_path):
    """A server joins a cluster that runs by itself, as `kinemark serve` does."""
    ports = [free_port() for _ in range(2)]
    head = [
        *(Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus=1"),
        *("--include-dashboard=false", "--disable-usage-stats", f"--object-store-memory={80 << 20}"),
        *(f"--port={ports[0]}",),
    ]
    database, files = postgres_server.url("elsewhere"), str(tmp_path / "files")
    server = [*(sys.executable, "-m", "kinemark", "serve", "--port", str(ports[1]), "--workers", "ray:1")]
    server += ["--database", database, "--storage", files]
    service = service_of(load_settings(), database, files)
    asked = Generate(prompt="a red boat", size=(128, 128), seconds=1.0, seed=1).model_dump(mode="json")
    id_ = service.jobs.add(New("me", "spark", asked, {"seconds": 1.0}, 1.0, "one")).id
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with begun(head, **token):
        wait_for(lambda: _answers(ports[0]), 60, "the cluster does not begin")
        with begun(server, RAY_ADDRESS=f"127.0.0.1:{ports[0]}", **token):
            wait_for(lambda: service.jobs.get(id_).status == COMPLETED, 240, "the job is not made")


@contextmanager
def begun(command, **environment):
    """A program, ended with everything that it began."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | environment, start_new_session=True, **quiet) as process:
        try:
            yield
        finally:
            subprocess.run(["pkill", "-KILL", "--session", str(process.pid)], check=True)


def test_no_cluster_answers(monkeypatch):
    class Silent:
        exceptions = ray.exceptions

        def init(self, address, **_):
            raise ConnectionError(f"timeout\n{address}")

    monkeypatch.setattr(on_ray, "JOIN", 0.0)
    workers = RayWorkers("head:6379", "sqlite:///x", "files", warm="spark", most=1)
    monkeypatch.setattr(workers, "_ray", Silent())
    with pytest.raises(FailureError, match=r"no Ray cluster answers at 'head:6379' \(timeout\)"):
        workers.__enter__()


def _answers(port):
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("text", "said"), [("0", (0, 0)), ("3", (3, 0)), ("ray", (0, on_ray.USUAL)), ("ray:12", (0, 12))]
)
def test_what_workers_may_be(text, said):
    assert parse_workers(text) == said


@pytest.mark.parametrize("text", ["", "-1", "ray:0", "ray:x", "ray:1001", "raygun", "1.5", "99999", "²"])
def test_what_workers_may_not_be(text):
    with pytest.raises(RequestError, match=r"give a number of processes, or ray, or ray:NUMBER"):
        parse_workers(text)


def test_machines_do_not_share_a_file(monkeypatch):
    class Two:
        exceptions = ray.exceptions

        def is_initialized(self):
            return True

        def nodes(self):
            return [{"Alive": True}, {"Alive": True}, {"Alive": False}]

    workers = RayWorkers("", "sqlite:///jobs.sqlite", "files", warm="spark", most=1)
    monkeypatch.setattr(workers, "_ray", Two())
    with pytest.raises(RequestError, match=r"2 machines are to share .*give postgresql"):
        workers.__enter__()
