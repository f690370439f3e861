"""Who did what is written down, what was asked for is not; and there is an end to what one key or address may ask."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from live import service_of
from sqlalchemy import func, select, update
from starlette.testclient import TestClient
from test_server_videos import BOAT, KEY, error_of

from kinemark.server.app import api_app
from kinemark.server.audit import Audit
from kinemark.server.limits import Allowance
from kinemark.server.sweep import sweep
from kinemark.server.tables import BATCHES, DELIVERIES, JOBS, LINES
from kinemark.server.worker import Worker
from kinemark.settings import Settings


@pytest.fixture
def service(tmp_path):
    return service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")


def lines(service):
    return [
        json.loads(line)
        for path in sorted(service.settings.audit_dir.glob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def test_changes_downloads_and_refusals_are_written_and_looks_are_not(service):
    with TestClient(api_app(service), headers=KEY) as http:
        made = http.post("/v1/videos", json=BOAT)
        video = made.json()["id"]
        Worker(service.jobs, service.store, service.settings).work()
        for _ in range(3):
            http.get(f"/v1/videos/{video}")
            http.get("/v1/videos")
        http.get(f"/v1/videos/{video}/content", params={"variant": "thumbnail"})
        http.post("/v1/videos", json=BOAT | {"prompt": "a naked child"})
        http.get("/v1/videos", headers={"Authorization": ""})
        http.delete(f"/v1/videos/{video}")
    written = lines(service)
    assert [(one["method"], one["status"]) for one in written] == [
        ("POST", 200),
        ("GET", 200),
        ("POST", 400),
        ("GET", 401),
        ("DELETE", 200),
    ]
    entered, download, refused, stranger, deleted = written
    assert entered["video"] == download["video_id"] == deleted["video_id"] == video
    assert entered["request"] == made.headers["x-request-id"]
    assert entered["account"] == "operator"
    assert download["download"] == "thumbnail"
    assert "account" not in stranger
    assert dt.datetime.fromisoformat(entered["time"]).tzinfo is not None
    assert "boat" not in json.dumps(written)
    assert "naked" not in json.dumps(refused)
    for path in service.settings.audit_dir.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_prompts_are_written_where_the_operator_says_so(service):
    service = replace(service, settings=replace(service.settings, audit_prompts=True))
    with TestClient(api_app(service), headers=KEY) as http:
        http.post("/v1/videos", json=BOAT)
        http.post("/v1/videos", json=BOAT | {"prompt": "a naked child"})
    assert [one["prompt"] for one in lines(service)] == [BOAT["prompt"], "a naked child"]


def test_a_log_that_cannot_be_written_stops_nobody(service, caplog):
    service.settings.home.mkdir(parents=True)
    service.settings.audit_dir.write_text("in the way")
    with TestClient(api_app(service), headers=KEY) as http:
        assert http.post("/v1/videos", json=BOAT).status_code == 200
    assert "audit log could not be written" in caplog.text


def test_days_are_removed(tmp_path):
    for day in ("2026-01-01", "2026-02-01"):
        (tmp_path / f"{day}.jsonl").write_text("{}\n")
    assert Audit(tmp_path).forget(dt.date(2026, 2, 1)) == 1
    assert [path.stem for path in tmp_path.iterdir()] == ["2026-02-01"]
    assert Audit(tmp_path / "none").forget(dt.date(2026, 2, 1)) == 0


def test_what_was_asked_is_forgotten_in_time(service):
    """Jobs with their prompts, batches with their lines, deliveries: all of what is over, nothing of what is not."""
    service.webhooks.create("operator", "me", "https://example.com", ["video.completed"])
    with TestClient(api_app(service), headers=KEY) as http:
        done = http.post("/v1/videos", json=BOAT).json()["id"]
        Worker(service.jobs, service.store, service.settings).work()
        waits = http.post("/v1/videos", json=BOAT).json()["id"]
    service.webhooks.settle(service.webhooks.due(), arrived=True)
    batch = service.batches.add("operator", "file", {})
    service.batches.end(batch, "failed")
    assert sweep(service) == 0
    year = 366 * 86_400.0
    with service.jobs._single.connect() as connection:
        connection.execute(update(JOBS).values(completed_at=JOBS.c.completed_at - year))
        for table in (BATCHES, DELIVERIES):
            connection.execute(update(table).values(created_at=table.c.created_at - year))
    assert sweep(service) == 3
    assert service.jobs.get(done) is None
    assert service.jobs.get(waits)
    with service.jobs._single.connect() as connection:
        for table in (BATCHES, LINES, DELIVERIES):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_wrong_keys_of_one_address_come_to_an_end(service, monkeypatch):
    monkeypatch.setattr("kinemark.server.service.KEYS", Allowance(3, 60))
    right = {"Authorization": f"Bearer {service.accounts.create('me', ['generate'])}"}
    with TestClient(api_app(replace(service, keyless=False))) as http:
        assert http.get("/v1/videos", headers=right).status_code == 200
        wrong = [http.get("/v1/videos", headers={"Authorization": f"Bearer km_0_{n}"}) for n in range(4)]
        assert [one.status_code for one in wrong] == [401, 401, 429, 429]
        assert error_of(wrong[-1], 429)["code"] == "rate_limit_exceeded"
        assert 1 <= int(wrong[-1].headers["retry-after"]) <= 60
        assert http.get("/v1/videos", headers=right).status_code == 200  # it is known already


def test_changes_of_one_key_come_to_an_end_and_looks_do_not(service, monkeypatch):
    monkeypatch.setattr("kinemark.server.service.CHANGES", Allowance(2, 60))
    keys = [service.accounts.create(name, ["generate"]) for name in ("ada", "bob")]
    with TestClient(api_app(replace(service, keyless=False))) as http:
        for key in keys:
            headers = {"Authorization": f"Bearer {key}"}
            answers = [http.post("/v1/videos", json=BOAT, headers=headers).status_code for _ in range(3)]
            assert answers == [200, 200, 429]
            assert http.get("/v1/videos", headers=headers).status_code == 200
