"""The server under load: many clients that poll, a long queue, and a worker beside it.

    python benchmarks/serve.py [--clients 200] [--queued 2000] [--seconds 60] [--database URL] [--json]
    python benchmarks/serve.py --peer PYTHON [...]
    python benchmarks/serve.py --overhead [--rounds 7] [--json]
    python benchmarks/serve.py --resume [--json]

Starts `kinemark serve` with one worker (niced) and its state in a new folder, enters jobs, and has so many clients ask
for the status of one each, once a second. Prints the times of answers (milliseconds), what the server's memory did, and
whether every job is still there. `submit_per_s` is how fast jobs were entered, one after the other by 16 clients.

With --peer, the Python of an environment in which SGLang Diffusion is, its routes are asked by the same clients
afterwards, with as many jobs in its store and no engine beside them. Both servers are killed then and begun again:
`kept` is the share of jobs that each still knows.

With --overhead, a worker that takes a job from the queue, makes it and enters it, in turn with `begin` and `Take.save`
of the same clip: `overhead` is what the first takes beyond the second, as a share of it.

With --resume, a clip of half a minute whose worker is told to stop halfway, and the same from the beginning: `resumed`
is what the second attempt takes, as a share of the whole.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinemark.server.jobs import Job

HEADERS = {"Authorization": "Bearer anything"}
ASKED = {"prompt": "a red sailboat drifts right across the sea", "seconds": "1", "size": "128x128"}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def memory_of(pid: int) -> int:
    """Bytes that a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def wait_until_ready(url: str) -> None:
    """Until the server answers."""
    async with httpx.AsyncClient() as client:
        for _ in range(600):
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise TimeoutError(url)


async def enter(url: str, count: int) -> tuple[list[str], float]:
    """Enter so many jobs; their ids, and how many a second."""
    ids: list[str] = []
    turns = iter(range(count))

    async def client() -> None:
        async with httpx.AsyncClient(headers=HEADERS, timeout=60) as http:
            for turn in turns:
                answer = await http.post(f"{url}/v1/videos", json=ASKED | {"seed": turn})
                answer.raise_for_status()
                ids.append(answer.json()["id"])

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(16)))
    return ids, count / (time.perf_counter() - start)


async def poll(url: str, ids: list[str], clients: int, seconds: float, pid: int) -> dict[str, Any]:
    """Clients that ask once a second: the times of their answers in milliseconds, and the server's memory."""
    times: list[float] = []
    wrong = 0
    memory = [memory_of(pid)]
    end = time.perf_counter() + seconds

    async def client(number: int, http: httpx.AsyncClient) -> None:
        nonlocal wrong
        await asyncio.sleep(number / clients)  # not all in the same moment
        while time.perf_counter() < end:
            start = time.perf_counter()
            try:
                wrong += (await http.get(f"{url}/v1/videos/{ids[number % len(ids)]}")).status_code != 200
            except httpx.TransportError:
                wrong += 1
            times.append(1e3 * (time.perf_counter() - start))
            await asyncio.sleep(max(0.0, 1 - (time.perf_counter() - start)))

    async def watch() -> None:
        while time.perf_counter() < end:
            await asyncio.sleep(5)
            memory.append(memory_of(pid))

    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(headers=HEADERS, timeout=60, limits=limits) as http:
        await asyncio.gather(watch(), *(client(number, http) for number in range(clients)))
    ordered = sorted(times)
    later = memory[len(memory) // 4 :]
    return {
        "answers": len(times),
        "wrong": wrong,
        "p50_ms": statistics.median(times),
        "p99_ms": ordered[int(0.99 * len(ordered))],
        "worst_ms": ordered[-1],
        "memory_mib": later[-1] / 2**20,
        "memory_growth": later[-1] / later[0],
    }


async def count(url: str) -> int:
    """How many jobs the server lists."""
    found, after = 0, None
    async with httpx.AsyncClient(headers=HEADERS, timeout=60) as http:
        while True:
            query = {"limit": 100} | ({"after": after} if after else {})
            page = (await http.get(f"{url}/v1/videos", params=query)).json()
            found, after = found + len(page["data"]), page["last_id"]
            if not page["has_more"]:
                return found


async def measure(arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Start, load, look, stop."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    database = arguments.database or f"sqlite:///{folder}/jobs.sqlite"
    common = ["--database", database, "--storage", f"{folder}/files"]
    kinemark = [sys.executable, "-m", "kinemark"]
    environment = os.environ | {"KINEMARK_HOME": folder}
    serve = [*kinemark, "serve", "--port", str(port), "--workers", "0", *common]
    server = subprocess.Popen(serve, env=environment)
    niced = ["nice", "-n", "19", *kinemark, "worker", *common]
    worker = subprocess.Popen(niced, env=environment, stderr=subprocess.DEVNULL)
    try:
        await wait_until_ready(url)
        ids, rate = await enter(url, arguments.queued)
        figures = await poll(url, ids, arguments.clients, arguments.seconds, server.pid)
        figures |= {"submit_per_s": rate, "lost": len(ids) - await count(url)}
        if arguments.peer:
            server = await begun_again(server, serve, url, environment)
            figures["kept"] = await count(url) / len(ids)
    finally:
        for process in (worker, server):
            process.send_signal(signal.SIGTERM)
        for process in (worker, server):
            process.wait(30)
    if arguments.peer:
        figures |= await measure_peer(arguments)
        figures["p99_ratio"] = figures["p99_ms"] / figures["peer_p99_ms"]
    return figures


async def begun_again(
    server: subprocess.Popen[bytes], command: list[str], url: str, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Kill a server and begin it again, as whatever runs it would."""
    server.kill()
    server.wait()
    server = subprocess.Popen(command, env=environment)
    await wait_until_ready(url)
    return server


async def measure_peer(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same of SGLang's routes."""
    port = free_port()
    url, script = f"http://127.0.0.1:{port}", str(Path(__file__).with_name("sglang_jobs.py"))
    environment = dict(os.environ)
    server = subprocess.Popen([arguments.peer, script, str(port), str(arguments.queued)], env=environment)
    try:
        await wait_until_ready(url)
        ids = [f"video_{number}" for number in range(arguments.queued)]
        figures = await poll(url, ids, arguments.clients, arguments.seconds, server.pid)
        server = await begun_again(server, [arguments.peer, script, str(port), "0"], url, environment)
        figures["kept"] = await count(url) / len(ids)
    finally:
        server.terminate()
        server.wait(30)
    return {f"peer_{name}": value for name, value in figures.items()}


def overhead(rounds: int, folder: str) -> dict[str, float]:
    """What a job takes beyond its clip: queue, files, thumbnail and spritesheet."""
    from kinemark.catalogue import load_model
    from kinemark.generate import begin
    from kinemark.server.asks import Generate
    from kinemark.server.database import open_database
    from kinemark.server.jobs import Jobs, New
    from kinemark.server.store import open_store
    from kinemark.server.worker import Worker
    from kinemark.settings import Settings

    settings = Settings(home=Path(folder) / "home")
    jobs = Jobs(open_database(f"sqlite:///{folder}/jobs.sqlite"))
    worker = Worker(jobs, open_store(f"{folder}/files"), settings)
    model = load_model("spark")
    ask = Generate(prompt=ASKED["prompt"], size=(256, 256), seconds=4.0, seed=1)

    def by_itself() -> None:
        take = begin(ask.timeline(model.target, {}), model=model, seed=1)
        take.save(Path(folder) / "clip.mp4", settings=settings)

    def by_the_worker() -> None:
        jobs.add(New("me", "spark", ask.model_dump(mode="json"), {}, 4.0, "d"))
        if not worker.work():
            raise RuntimeError("there was no job")

    def seconds_of(call: Callable[[], None]) -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    by_itself()
    by_the_worker()
    pairs = [(seconds_of(by_itself), seconds_of(by_the_worker)) for _ in range(rounds)]
    alone, served = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"alone_s": alone, "served_s": served, "overhead": statistics.median(b / a for a, b in pairs) - 1}


def resume(folder: str) -> dict[str, float]:
    """What an interrupted clip takes the worker that goes on with it."""
    from kinemark.server.asks import Generate
    from kinemark.server.database import open_database
    from kinemark.server.jobs import Jobs, New
    from kinemark.server.store import open_store
    from kinemark.server.worker import Worker
    from kinemark.settings import Settings

    jobs, store = Jobs(open_database(f"sqlite:///{folder}/jobs.sqlite")), open_store(f"{folder}/files")
    settings = Settings(home=Path(folder) / "home")
    asked = Generate(prompt=ASKED["prompt"], size=(256, 256), seconds=30.0, seed=1).model_dump(mode="json")

    def attempt(stop_at: int) -> float:
        worker = Worker(jobs, store, settings, checkpoint=1.0)
        renew = jobs.renew

        def watched(job: Job, progress: int, lease: float) -> bool:
            if progress >= stop_at:
                worker.stop.set()
            return renew(job, progress, lease)

        with patch.object(jobs, "renew", watched):
            start = time.perf_counter()
            worker.work()
            return time.perf_counter() - start

    figures = {}
    for name, stops in (("whole_s", [101]), ("halves_s", [50, 101])):
        jobs.add(New("me", "spark", asked, {}, 30.0, name))
        figures[name] = [attempt(stop) for stop in stops][-1]
    return figures | {"resumed": figures["halves_s"] / figures["whole_s"]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--queued", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--database", help="of another kind; an empty one")
    parser.add_argument("--peer", help="the Python of an environment with SGLang Diffusion")
    parser.add_argument("--overhead", action="store_true", help="what a job takes beyond its clip")
    parser.add_argument("--resume", action="store_true", help="what is left of a clip whose worker was stopped halfway")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print one flat object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kinemark-bench-", ignore_cleanup_errors=True) as folder:
        if arguments.resume:
            figures: dict[str, Any] = resume(folder)
        elif arguments.overhead:
            figures = overhead(arguments.rounds, folder)
        else:
            figures = asyncio.run(measure(arguments, folder))
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<16}{value:.4g}" if isinstance(value, float) else f"{name:<16}{value}")


if __name__ == "__main__":
    main()
