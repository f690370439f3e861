"""Whether something was made here, in the form that SDKs have for it; whoever asks needs a key that may."""

from dataclasses import replace

import pytest
from live import service_of
from starlette.testclient import TestClient
from test_server_videos import BOAT, KEY, error_of, png

from kinemark.server.app import api_app
from kinemark.server.limits import Allowance, Limits
from kinemark.server.worker import Worker
from kinemark.settings import Settings


@pytest.fixture
def server(tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")
    with TestClient(api_app(service), headers=KEY) as http:
        yield service, http


def check(http, content, **more):
    return http.post("/v1/content_provenance_checks", files={"file": ("a", content)}, **more)


def test_a_clip_that_was_made_here_and_a_picture_that_was_not(server):
    service, http = server
    video = http.post("/v1/videos", json=BOAT).json()
    Worker(service.jobs, service.store, service.settings).work()
    told = check(http, http.get(f"/v1/videos/{video['id']}/content").content).json()
    assert told["object"] == "content_provenance_check"
    made = http.get(f"/v1/videos/{video['id']}").json()
    assert told["kinemark"]["id"] == made["kinemark"]["credential"]["id"]
    c2pa = told["results"][0]
    assert (c2pa["type"], c2pa["outcome"], c2pa["validation_state"]) == ("c2pa", "detected", "trusted")
    assert c2pa["issuer"] == "this_installation"
    assert c2pa["model"]
    assert c2pa["generated_at"].endswith("Z")
    for one in told["results"]:
        assert (one["model"] is None) == (one["outcome"] == "not_detected")
    kinds = {one["type"]: one["outcome"] for one in told["results"]}
    assert kinds["kinemark_watermark"] == "detected"

    other = check(http, png()).json()
    assert not other["kinemark"]["recognised"]
    assert "does not mean" in other["kinemark"]["summary"]
    assert other["results"][0] == {
        "type": "c2pa",
        "outcome": "not_detected",
        "validation_state": "not_present",
        "issuer": None,
        "model": None,
        "generated_at": None,
    }
    assert {one["outcome"] for one in other["results"]} == {"not_detected"}


def test_a_picture_is_asked_about_a_few_times_and_not_as_often_as_it_takes_to_lose_its_mark(server, monkeypatch):
    monkeypatch.setattr(Limits.wait_for_picture, "__defaults__", (Allowance(2, 3600),))
    _, http = server
    answers = [check(http, png()) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert "nearly the same" in error_of(answers[-1], 429)["message"]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG broken"])
def test_what_is_no_picture(server, content):
    _, http = server
    error_of(check(http, content), 400)


def test_a_key_has_to_be_one_that_may(server):
    service, _ = server
    keys = {scope: service.accounts.create(scope, [scope]) for scope in ("generate", "verify")}
    with TestClient(api_app(replace(service, keyless=False))) as http:
        for scope, status in (("generate", 403), ("verify", 200)):
            assert check(http, png(), headers={"Authorization": f"Bearer {keys[scope]}"}).status_code == status
        assert check(http, png()).status_code == 401
