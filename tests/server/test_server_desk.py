"""Anybody may say that something is wrong, and what is decided holds."""

import datetime as dt
import json

import pytest
from live import service_of
from starlette.testclient import TestClient
from test_server_videos import BOAT, KEY, error_of

from command_line import run
from kinemark.safety.desk.cases import Desk
from kinemark.server.app import api_app
from kinemark.server.worker import Worker
from kinemark.settings import Settings


@pytest.fixture
def server(tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")
    with TestClient(api_app(service)) as http:
        yield service, http


def report(http, path="reports", **fields):
    return http.post(f"/v1/{path}", json={"subject": "deadbeef", "text": "that is me"} | fields)


@pytest.mark.parametrize(("path", "kind", "hours"), [("reports", "report", 72), ("takedowns", "takedown", 48)])
def test_a_case_begins_its_clock_and_can_be_asked_for(server, path, kind, hours):
    service, http = server
    told = report(http, path, contact="me@example.com").json()
    assert told["kind"] == kind
    assert told["outcome"] is None
    opened, due = (dt.datetime.fromisoformat(told[name]) for name in ("opened", "due"))
    assert due - opened == dt.timedelta(hours=hours)
    assert http.get(f"/v1/cases/{told['case']}").json() == told
    assert "me@example.com" not in json.dumps(told)
    with Desk(service.settings.desk_path) as desk:
        assert desk.case(told["case"]).contact == "me@example.com"
        desk.decide(told["case"], "rejected", "it is somebody else", by="eve", now=dt.datetime.now(dt.UTC))
    answered = http.get(f"/v1/cases/{told['case']}").json()
    assert (answered["outcome"], answered["reasons"]) == ("rejected", "it is somebody else")


def test_what_is_taken_down_is_given_to_nobody(server, capsys, monkeypatch):
    service, http = server
    video = http.post("/v1/videos", json=BOAT | {"preview": True}, headers=KEY).json()
    Worker(service.jobs, service.store, service.settings).work()
    assert http.get(f"/v1/videos/{video['id']}/preview", headers=KEY).status_code == 200
    content = f"/v1/videos/{video['id']}/content"
    assert http.get(content, headers=KEY).status_code == 200
    told = report(http, "takedowns", subject=video["id"], ground="intimate").json()
    made = http.get(f"/v1/videos/{video['id']}", headers=KEY).json()
    assert told["subject"] == made["kinemark"]["credential"]["id"]
    monkeypatch.setenv("KINEMARK_HOME", str(service.settings.home))
    assert run(capsys, "takedown", "decide", told["case"], "removed", "it shows me", "--by", "eve")[0] == 0
    for variant in ("video", "thumbnail", "spritesheet"):
        gone = http.get(content, params={"variant": variant}, headers=KEY)
        assert error_of(gone, 404)["code"] == "video_taken_down"
    gone = http.get(f"/v1/videos/{video['id']}/preview", headers=KEY)
    assert error_of(gone, 404)["code"] == "video_taken_down"
    again = http.post(f"/v1/videos/{video['id']}/remix", json={"prompt": "a blue boat"}, headers=KEY).json()
    Worker(service.jobs, service.store, service.settings).work()
    failed = http.get(f"/v1/videos/{again['id']}", headers=KEY).json()
    assert failed["error"]["code"] == "moderation_blocked"


def test_a_clip_may_be_named_by_its_manifest(server):
    service, http = server
    video = http.post("/v1/videos", json=BOAT, headers=KEY).json()
    Worker(service.jobs, service.store, service.settings).work()
    id_ = service.jobs.get(video["id"]).facts["credential"]["id"]
    from kinemark.provenance.records.ledger import Ledger

    with Ledger.open(service.settings.ledger_path) as ledger:
        manifest = ledger.find(id_).body["manifest"]
    assert report(http, subject=manifest).json()["subject"] == id_


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"text": ""}, "text"), ({"subject": ""}, "subject"), ({"text": "x" * 9000}, "text"), ({"text": 3}, "text")],
)
def test_what_says_nothing_opens_nothing(server, fields, param):
    service, http = server
    assert error_of(report(http, **fields), 400)["param"] == param
    assert not service.settings.desk_path.exists()


def test_an_unknown_ground_and_an_unknown_case(server):
    _, http = server
    assert "choose one of: policy, minor" in error_of(report(http, ground="whim"), 400)["message"]
    for id_ in ("report-000000000000", "incident-000000000000", "%2e%2e"):
        assert error_of(http.get(f"/v1/cases/{id_}"), 404)


def test_the_operators_own_cases_are_nobodys(server):
    service, http = server
    now = dt.datetime.now(dt.UTC)
    with Desk(service.settings.desk_path) as desk:
        case = desk.open_case("incident", subject="a key", text="it leaked", now=now)
    assert error_of(http.get(f"/v1/cases/{case.id}"), 404)["code"] == "not_found"


def test_nobody_floods_the_desk(server):
    _, http = server
    answers = [report(http) for _ in range(11)]
    assert [one.status_code for one in answers] == [200] * 10 + [429]
    assert int(answers[-1].headers["retry-after"]) > 60
