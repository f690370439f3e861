"""Owners are told, signed, until they answer; and nothing goes where it should not."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from live import service_of
from sqlalchemy import update
from starlette.testclient import TestClient

from kinemark.server.app import api_app
from kinemark.server.courier import deliver
from kinemark.server.jobs import MAX_ATTEMPTS, Asset, New
from kinemark.server.tables import DELIVERIES, now
from kinemark.server.webhooks import AGAIN, EVENTS
from kinemark.settings import Settings

SHARE = Path(sys.prefix) / "share"
KEY = {"Authorization": "Bearer anything"}


class Receiver:
    """A server of an owner, which answers as it is told to and remembers what came."""

    def __init__(self):
        self.came, self.answers = [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                status = outer.answers.pop(0) if outer.answers else 200
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?x=1"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def service(database, tmp_path):
    settings = Settings(home=tmp_path / "home", private_addresses=True)
    return service_of(settings, database, tmp_path / "files")


@pytest.fixture
def http(service):
    with TestClient(api_app(service), headers=KEY) as client:
        yield client


def made(http, url, events=("video.completed", "video.failed")):
    answer = http.post("/v1/webhook_endpoints", json={"name": "mine", "url": url, "event_types": list(events)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(service, *, failed=False, owner="operator"):
    job = service.jobs.add(New(owner, "tiny", {"prompt": "a boat"}, {}, 1.0, "d"))
    held = service.jobs.claim("w")
    assert (
        service.jobs.fail(held, {"code": "c", "message": "m"})
        if failed
        else service.jobs.complete(held, [_VIDEO], {}, 9)
    )
    return job.id


_VIDEO = Asset("video", "ab" * 32, "video/mp4", 10)


def signature(secret, headers, body):
    """As the standard has it, written once more."""
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()


def test_an_owner_is_told_what_ended(service, http, receiver):
    endpoint = made(http, receiver.url)
    done, failed = ended(service), ended(service, failed=True)
    ended(service, owner="another")
    assert deliver(service.webhooks, private=True)
    assert deliver(service.webhooks, private=True)
    assert not deliver(service.webhooks, private=True)
    events = [json.loads(body) for _, body in receiver.came]
    assert [(event["type"], event["data"]) for event in events] == [
        ("video.completed", {"id": done}),
        ("video.failed", {"id": failed}),
    ]
    for (headers, body), event in zip(receiver.came, events, strict=True):
        assert headers["webhook-id"] == event["id"]
        assert event["object"] == "event"
        assert headers["webhook-signature"] == signature(endpoint["signing_secret"], headers, body)
        assert headers["host"] == receiver.url.split("/")[2]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2.27.0", "3.54.0"])
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_sdk_believes_it(service, http, receiver, version):
    endpoint = made(http, receiver.url)
    ended(service)
    assert deliver(service.webhooks, private=True)
    headers, body = receiver.came[0]
    script = (
        "import sys, json, openai; headers, body, secret = json.load(sys.stdin); "
        "client = openai.OpenAI(api_key='x', webhook_secret=secret); "
        "event = client.webhooks.unwrap(body, headers); print(event.type, event.data.id)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        input=json.dumps([headers, body, endpoint["signing_secret"]]),
        env=os.environ | {"PYTHONPATH": str(SHARE / "openai" / version)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["video.completed", json.loads(body)["data"]["id"]], done.stderr


def test_it_is_sent_until_it_arrives(service, http, receiver):
    """The same event with the same id, signed anew; a redirect is no arrival, and is not followed."""
    endpoint = made(http, receiver.url)
    ended(service)
    receiver.answers = [500, 302]
    for _ in range(3):
        assert deliver(service.webhooks, private=True)
        assert not deliver(service.webhooks, private=True)  # not before its time
        service.jobs._run(update(DELIVERIES).where(DELIVERIES.c.next_at.is_not(None)).values(next_at=now() - 1))
    assert not deliver(service.webhooks, private=True)
    ids = {headers["webhook-id"] for headers, _ in receiver.came}
    assert len(receiver.came) == 3
    assert len(ids) == len({body for _, body in receiver.came}) == 1
    for headers, body in receiver.came:
        assert headers["webhook-signature"] == signature(endpoint["signing_secret"], headers, body)


def test_after_three_days_it_is_let_go(service, http, receiver):
    assert 71 * 3600 < sum(AGAIN) < 73 * 3600
    made(http, receiver.url)
    ended(service)
    receiver.answers = [500] * 50
    tries = 0
    while deliver(service.webhooks, private=True):
        tries += 1
        service.jobs._run(update(DELIVERIES).where(DELIVERIES.c.next_at.is_not(None)).values(next_at=now() - 1))
    assert tries == len(AGAIN) + 1


def test_a_job_that_is_given_up_is_told_too(service, http, receiver):
    made(http, receiver.url, ["video.failed"])
    service.jobs.add(New("operator", "tiny", {"prompt": "a boat"}, {}, 1.0, "d"))
    for _ in range(MAX_ATTEMPTS + 1):
        service.jobs.claim("w", lease=-1)
    assert deliver(service.webhooks, private=True)
    assert json.loads(receiver.came[0][1])["type"] == "video.failed"


def test_secrets_rotate_and_may_overlap(service, http, receiver):
    endpoint = made(http, receiver.url)
    path = f"/v1/webhook_endpoints/{endpoint['id']}"
    rotated = http.post(f"{path}/rotate_secret", json={"keep_old_secret_active_for_24_hours": True}).json()
    tested = http.post(f"{path}/test", json={"event_type": "video.failed"}).json()
    assert (tested["object"], tested["status_code"], tested["success"]) == ("webhook_endpoint.test", 200, True)
    headers, body = receiver.came[0]
    both = [signature(one["signing_secret"], headers, body) for one in (rotated, endpoint)]
    assert headers["webhook-signature"].split(" ") == both
    again = http.post(f"{path}/rotate_secret").json()
    receiver.answers = [503]
    assert http.post(f"{path}/test", json={}).json()["status_code"] == 503
    headers, body = receiver.came[1]
    assert headers["webhook-signature"] == signature(again["signing_secret"], headers, body)


def test_managing_them(service, http, receiver):
    first, second = made(http, receiver.url), made(http, receiver.url, ["video.failed"])
    told = {"id", "object", "name", "url", "event_types", "created_at", "updated_at", "signing_secret_hint"}
    assert set(first) == told | {"signing_secret"}
    assert first["signing_secret"].startswith("whsec_")
    listed = http.get("/v1/webhook_endpoints").json()
    assert [one["id"] for one in listed["data"]] == [second["id"], first["id"]]
    assert not any("signing_secret" in one for one in listed["data"])
    page = http.get("/v1/webhook_endpoints", params={"limit": 1}).json()
    assert (page["has_more"], page["last_id"]) == (True, second["id"])
    rest = http.get("/v1/webhook_endpoints", params={"limit": 1, "after": second["id"]}).json()
    assert (rest["has_more"], rest["data"][0]["id"]) == (False, first["id"])
    path = f"/v1/webhook_endpoints/{first['id']}"
    changed = http.post(path, json={"name": "ours"}).json()
    assert (changed["name"], changed["url"], changed["updated_at"] is None) == ("ours", receiver.url, False)
    assert http.get(path).json() == changed
    assert http.get("/v1/webhook_event_types").json()["data"] == list(EVENTS)
    ended(service)
    assert http.delete(path).json() == {"id": first["id"], "object": "webhook_endpoint.deleted", "deleted": True}
    assert not deliver(service.webhooks, private=True)  # what it was to be told is gone with it
    for method in ("GET", "POST", "DELETE"):
        assert http.request(method, path, json={}).status_code == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"name": ""}, "name"),
        ({"url": None}, "url"),
        ({"url": "gopher://x"}, "url"),
        ({"url": "https://user:word@host/"}, "url"),
        ({"url": "https://"}, "url"),
        ({"event_types": []}, "event_types"),
        ({"event_types": ["video.deleted"]}, "event_types.0"),
    ],
)
def test_what_is_wrong_is_said(http, change, param):
    asked = {"name": "mine", "url": "https://example.com", "event_types": ["video.failed"]} | change
    answer = http.post("/v1/webhook_endpoints", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
