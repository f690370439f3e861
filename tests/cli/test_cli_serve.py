"""`kinemark serve` as people start it: a process, with a worker of its own, until it is interrupted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from command_line import run
from databases import free_port
from kinemark.provenance.detect import verify
from kinemark.settings import Settings


def call(url, body=None, method=None, key="anything"):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=20) as answer:
        content = answer.read()
    return json.loads(content) if answer.headers["content-type"].startswith("application/json") else content


def wait(condition, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError("it takes too long")


@pytest.mark.slow
def test_from_nothing_to_a_clip_and_to_the_end(tmp_path):
    """The size and length that old scripts get who name none: four seconds of 720x1280."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "kinemark", "serve", "--port", str(port)],
        env=os.environ | {"KINEMARK_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/v1/videos"
        wait(lambda: call(f"http://127.0.0.1:{port}/readyz"), 60)
        asked = call(url, {"prompt": "a red sailboat drifts right across the sea at sunset", "model": "sora-2"})
        done = wait(lambda: (one := call(f"{url}/{asked['id']}"))["completed_at"] and one, 120)
        assert (done["status"], done["size"], done["seconds"]) == ("completed", "720x1280", "4")
        (tmp_path / "clip.mp4").write_bytes(call(f"{url}/{asked['id']}/content"))
        assert verify(tmp_path / "clip.mp4", Settings(home=tmp_path / "home")).recognised
        workers = _children(server.pid)
        assert workers
        os.kill(workers[0], signal.SIGKILL)  # it is begun again
        wait(lambda: set(_children(server.pid)) - set(workers), 30)
    finally:
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=60)
    assert f"OPENAI_BASE_URL=http://127.0.0.1:{port}/v1" in said
    assert "Traceback" not in said
    wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 10)


@pytest.mark.slow
def test_workers_end_with_a_server_that_was_killed(tmp_path):
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "kinemark", "serve", "--port", str(port)],
        env=os.environ | {"KINEMARK_HOME": str(tmp_path / "home")},
        stderr=subprocess.DEVNULL,
    )
    wait(lambda: call(f"http://127.0.0.1:{port}/readyz"), 90)
    workers = _children(server.pid)
    server.kill()
    server.wait()
    wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 60)


def _children(pid):
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    mine = [int(child) for one in lists for child in one.split()]
    return [child for child in mine if b"worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_keys_are_made_listed_and_withdrawn(capsys):
    code, out, _ = run(capsys, "keys", "create", "--name", "studio", "--scope", "generate,verify", "--limit", "20/day")
    assert code == 0
    key = out.strip()
    assert re.fullmatch(r"km_[0-9a-f]{16}_[\w-]{43}", key)
    code, out, _ = run(capsys, "keys", "list", "--json")
    (row,) = json.loads(out)["keys"]
    assert row == {"id": key.split("_")[1], "name": "studio", "scopes": ["generate", "verify"], "per_day": 20}
    assert key not in out
    assert run(capsys, "keys", "withdraw", row["id"])[0] == 0
    assert json.loads(run(capsys, "keys", "list", "--json")[1]) == {"keys": []}
    code, _, said = run(capsys, "keys", "withdraw", row["id"])
    assert (code, "there is no key" in said) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("keys", "create", "--name", "x", "--scope", "all"), "scope is all; allowed: generate, verify"),
        (("keys", "create", "--name", "x", "--limit", "20"), "write a number a day, such as 20/day"),
        (
            ("serve", "--workers", "-1"),
            "workers is '-1'; give a number of processes, or ray",
        ),
        (("serve", "--model", "sparc"), "did you mean spark"),
        (("serve", "--database", "mysql://x/y"), "give sqlite:///path/to/file.sqlite, or postgresql://user@host/name"),
        (("serve", "--storage", "gopher://x"), "give a folder, or s3://bucket/prefix"),
        (("serve", "--host", "0.0.0.0"), "nobody has a key, and 0.0.0.0 can be reached by others"),
        (("worker", "--database", "sqlite:////no/such/folder/x.sqlite"), "the database does not answer"),
    ],
)
def test_what_cannot_be_served(capsys, arguments, error):
    code, _, said = run(capsys, *arguments)
    assert code in (1, 2)
    assert error in " ".join(said.split())
    assert "Traceback" not in said
