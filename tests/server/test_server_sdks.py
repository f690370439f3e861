"""OpenAI's own SDKs, as installed by those whose provider ended the API, drive every method that they can send."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from live import Server, Working, service_of
from PIL import Image

from kinemark.data.video import read_video
from kinemark.provenance.detect import verify
from kinemark.server.app import api_app
from kinemark.server.batcher import look_after
from kinemark.server.repeat import repeating
from kinemark.settings import Settings

HERE = Path(__file__).parent
SHARE = Path(sys.prefix) / "share"
VERSIONS = ("2.27.0", "3.3.1", "3.54.0")
WHEN = {"created_at", "completed_at", "expires_at"}
FIELDS = WHEN | {"id", "object", "model", "status", "progress", "prompt", "size", "seconds", "error"}
FIELDS |= {"remixed_from_video_id"}
CASES = [*(("sqlite", one) for one in VERSIONS), ("postgresql", VERSIONS[-1])]


@pytest.fixture
def live(database, tmp_path):
    """(address, settings) of a server with a worker."""
    settings = Settings(home=tmp_path / "home")
    service = service_of(settings, database, tmp_path / "files")
    with Working(service), repeating(partial(look_after, service), 0.2), Server(api_app(service)) as server:
        yield f"http://127.0.0.1:{server.port}/v1", settings


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "first.png"
    Image.fromarray(np.linspace(0, 255, 144 * 256 * 3).reshape(144, 256, 3).astype(np.uint8)).save(path)
    return path


def run(command, url, **more):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "OPENAI_API_KEY": "sk-anything"}
    done = subprocess.run(
        command,
        env=environment | {"OPENAI_BASE_URL": url} | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_video(video, status="completed"):
    assert set(video) >= FIELDS
    assert video["status"] == status, video["error"]
    assert video["id"].startswith("video_")
    assert len(video["id"]) == len("video_") + 48
    assert isinstance(video["seconds"], str)
    assert video["size"] == "256x144"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "version"),
    [*(("sqlite", one) for one in VERSIONS), ("postgresql", VERSIONS[-1])],
    indirect=["database"],
)
def test_an_old_python_script(live, version, picture, tmp_path):
    url, settings = live
    (folder := tmp_path / "out").mkdir()
    told = run(
        [sys.executable, str(HERE / "sdk_session.py"), str(picture), str(folder)],
        url,
        PYTHONPATH=str(SHARE / "openai" / version),
    )
    assert told["version"] == version
    check_video(told["created"], "queued")
    assert told["retrieved"] == told["polled"]
    for name in ("polled", "with_reference", "remixed", "edited", "extended"):
        check_video(told[name])
    assert told["remixed"]["remixed_from_video_id"] == told["polled"]["id"]
    assert told["extended"]["seconds"] == "2"
    if version != "2.27.0" or "extended_upload" in told:
        for name in ("extended_upload", "edited_upload"):
            check_video(told[name])
        assert told["character"] == "consent_required"
    assert (folder / "video").stat().st_size == told["streamed"]
    assert verify(folder / "video", settings).recognised
    assert read_video(folder / "video").frames_THWC.shape == (8, 144, 256, 3)
    for variant, kind in (("thumbnail", "WEBP"), ("spritesheet", "JPEG")):
        with Image.open(folder / variant) as shown:
            assert shown.format == kind
    assert told["file"]["filename"] == "lines.jsonl"
    assert told["batches"] == [told["batch"]["id"]]
    assert told["batch"]["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
    check_video(told["answered"]["response"]["body"])
    assert told["file_deleted"]
    if "checked" in told:
        assert told["checked"]["results"][0]["outcome"] == "not_detected"
    assert len(told["listed"]) == len(set(told["listed"])) >= 5
    assert told["listed"] == told["oldest"][::-1]
    errors = told["errors"]
    assert errors["missing"] | {"id": ""} == {"class": "NotFoundError", "code": "not_found", "param": None, "id": ""}
    assert (errors["refused"]["class"], errors["refused"]["code"]) == ("BadRequestError", "moderation_blocked")
    assert (errors["size"]["code"], errors["size"]["param"]) == ("invalid_value", "size")
    assert (errors["seconds"]["code"], errors["seconds"]["param"]) == ("invalid_value", "seconds")
    assert errors["key"]["class"] == "AuthenticationError"
    assert all(error["id"].startswith("req_") for error in errors.values())
    assert told["deleted"] == {"id": told["polled"]["id"], "object": "video.deleted", "deleted": True}


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_old_node_script(live, picture):
    url, _ = live
    package = SHARE / "node" / "node_modules" / "openai" / "index.mjs"
    told = run(["node", str(HERE / "sdk_session.mjs"), str(package), str(picture)], url)
    check_video(told["created"], "queued")
    for name in ("polled", "with_reference", "with_url", "remixed", "edited", "extended"):
        check_video(told[name])
    assert told["bytes"] > 1000
    assert told["type"] == "video/mp4"
    assert len(told["listed"]) == len(set(told["listed"])) == 6
    assert told["errors"]["missing"]["class"] == "NotFoundError"
    assert told["errors"]["refused"]["code"] == "moderation_blocked"
    assert told["deleted"]["deleted"] is True
