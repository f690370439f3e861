"""Files by id, and batches: every line is answered, once, whatever it asks for and whoever dies meanwhile."""

import io
import json
import time

import pytest
from live import service_of
from sqlalchemy import update
from starlette.testclient import TestClient
from test_server_videos import BOAT, KEY, error_of, png

from kinemark.server import batcher
from kinemark.server.app import api_app
from kinemark.server.batcher import look_after, read_lines
from kinemark.server.files import Files
from kinemark.server.sweep import sweep
from kinemark.server.tables import BATCHES, FILES
from kinemark.server.worker import Worker
from kinemark.settings import Settings


class Desk:
    def __init__(self, service):
        self.service = service
        self.http = TestClient(api_app(service), headers=KEY)
        self.worker = Worker(service.jobs, service.store, service.settings)

    def upload(self, content, purpose="batch", name="lines.jsonl"):
        return self.http.post("/v1/files", data={"purpose": purpose}, files={"file": (name, content)})

    def batch(self, *lines, **more):
        content = "".join(json.dumps(line) + "\n" for line in lines)
        answer = self.upload(content.encode())
        assert answer.status_code == 200, answer.text
        file = answer.json()
        asked = {"input_file_id": file["id"], "endpoint": "/v1/videos", "completion_window": "24h"}
        answer = self.http.post("/v1/batches", json=asked | more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def step(self):
        """Look after whatever is under way, now."""
        with self.service.batches._single.connect() as connection:
            connection.execute(update(BATCHES).where(BATCHES.c.next_at.is_not(None)).values(next_at=0))
        return look_after(self.service)

    def told(self, batch):
        return self.http.get(f"/v1/batches/{batch['id']}").json()

    def lines(self, id_):
        content = self.http.get(f"/v1/files/{id_}/content")
        assert content.headers["content-type"] == "application/jsonl"
        return [json.loads(line) for line in content.text.splitlines()]


@pytest.fixture
def desk(database, tmp_path):
    desk = Desk(service_of(Settings(home=tmp_path / "home"), database, tmp_path / "files"))
    with desk.http:
        yield desk


def line(custom_id, **body):
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/videos", "body": BOAT | body}


def test_a_file_is_kept_told_and_let_go(desk):
    made = desk.upload(b"{}\n").json()
    assert made["id"].startswith("file-")
    assert made | {"id": "", "created_at": 0, "expires_at": 0} == {
        "id": "",
        "object": "file",
        "bytes": 3,
        "created_at": 0,
        "expires_at": 0,
        "filename": "lines.jsonl",
        "purpose": "batch",
        "status": "processed",
        "status_details": None,
    }
    assert abs(made["expires_at"] - time.time() - 30 * 86_400) < 60
    assert desk.http.get(f"/v1/files/{made['id']}").json() == made
    assert desk.http.get(f"/v1/files/{made['id']}/content").content == b"{}\n"
    again = desk.upload(b"{}\n", name="the same").json()
    picture = desk.upload(png(), "vision", "a.png").json()
    listed = desk.http.get("/v1/files", params={"limit": 10_000}).json()
    assert [one["id"] for one in listed["data"]] == [picture["id"], again["id"], made["id"]]
    only = desk.http.get("/v1/files", params={"purpose": "vision", "order": "asc"}).json()
    assert [one["id"] for one in only["data"]] == [picture["id"]]
    digest = desk.service.files.get(made["id"], "operator").digest
    gone = desk.http.delete(f"/v1/files/{made['id']}").json()
    assert gone == {"id": made["id"], "object": "file", "deleted": True}
    assert desk.service.store.has(digest)  # the other one has the same content
    desk.http.delete(f"/v1/files/{again['id']}")
    assert not desk.service.store.has(digest)
    assert error_of(desk.http.get(f"/v1/files/{made['id']}/content"), 404)["code"] == "not_found"


def test_a_picture_is_named_by_its_id_and_outlives_its_file(desk):
    file = desk.upload(png(), "vision", "a.png").json()
    asked = BOAT | {"input_reference": {"file_id": file["id"]}}
    video = desk.http.post("/v1/videos", json=asked).json()
    desk.http.delete(f"/v1/files/{file['id']}")
    assert desk.worker.work()
    assert desk.http.get(f"/v1/videos/{video['id']}").json()["status"] == "completed"
    assert error_of(desk.http.post("/v1/videos", json=asked), 404)["param"] == "input_reference"
    lines = desk.upload(b"{}").json()
    wrong = desk.http.post("/v1/videos", json=BOAT | {"input_reference": {"file_id": lines["id"]}})
    assert "application/jsonl" in error_of(wrong, 400)["message"]


@pytest.mark.parametrize(
    ("purpose", "content", "status", "param"),
    [
        ("assistants", b"{}", 400, "purpose"),
        ("vision", b"no picture", 400, "file"),
        ("vision", b"", 400, "file"),
    ],
)
def test_files_that_are_not_kept(desk, purpose, content, status, param):
    assert error_of(desk.upload(content, purpose), status)["param"] == param
    assert error_of(desk.http.post("/v1/files", json={"purpose": "batch", "file": "text"}), 400)["param"] == "file"
    assert desk.http.get("/v1/files").json()["data"] == []


def test_there_is_an_end_to_what_an_owner_may_keep(desk, monkeypatch):
    monkeypatch.setattr("kinemark.server.batch_routes.MOST_KEPT", 10)
    assert desk.upload(b"12345678").status_code == 200
    assert error_of(desk.upload(b"123"), 400)["code"] == "too_many_files"
    assert desk.upload(b"12").status_code == 200


def test_files_expire(desk):
    file = desk.upload(b"{}").json()
    digest = desk.service.files.get(file["id"], "operator").digest
    assert sweep(desk.service) == 0
    with desk.service.files._single.connect() as connection:
        connection.execute(update(FILES).values(expires_at=1.0))
    assert sweep(desk.service) == 1
    assert not desk.service.store.has(digest)


def test_a_batch_is_answered_line_by_line(desk):
    batch = desk.batch(
        line("good"),
        line("refused", prompt="a naked child"),
        line("wrong", seconds="61"),
        line("no such model", model="wan9"),
        line("named", metadata={"shot": "2"}, priority=3),
        metadata={"for": "a test"},
    )
    assert (batch["status"], batch["request_counts"]["total"]) == ("validating", 0)
    assert desk.step()
    told = desk.told(batch)
    assert told["status"] == "in_progress"
    assert told["request_counts"] == {"total": 5, "completed": 0, "failed": 0}
    assert told["metadata"] == {"for": "a test"}
    assert desk.step()
    assert desk.told(batch)["request_counts"]["failed"] == 3
    assert sorted(job["kinemark"]["priority"] for job in desk.http.get("/v1/videos").json()["data"]) == [-5, 3]
    while desk.worker.work():
        pass
    assert desk.step()
    told = desk.told(batch)
    assert (told["status"], told["request_counts"]) == ("completed", {"total": 5, "completed": 2, "failed": 3})
    assert told["completed_at"] >= told["in_progress_at"] >= told["created_at"]
    made = desk.lines(told["output_file_id"])
    assert [one["custom_id"] for one in made] == ["good", "named"]
    for one in made:
        assert one["error"] is None
        assert one["response"]["status_code"] == 200
        video = one["response"]["body"]
        assert video["status"] == "completed"
        assert desk.http.get(f"/v1/videos/{video['id']}/content").status_code == 200
    failed = {one["custom_id"]: one["response"] for one in desk.lines(told["error_file_id"])}
    assert {name: one["status_code"] for name, one in failed.items()} == dict.fromkeys(
        ("refused", "wrong", "no such model"), 400
    )
    assert failed["refused"]["body"]["error"]["code"] == "moderation_blocked"
    assert failed["wrong"]["body"]["error"]["param"] == "seconds"
    assert not desk.step()  # it is over


def test_whoever_dies_between_two_steps_nothing_is_made_twice(desk, monkeypatch):
    """A server ends after a line was entered and before that is written down; the next one enters it again."""
    batch = desk.batch(line("one"), line("two"))
    assert desk.step()
    entered = desk.service.batches.entered
    monkeypatch.setattr(type(desk.service.batches), "entered", lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        desk.step()
    monkeypatch.undo()
    assert entered is not None
    assert desk.step()
    assert len(desk.http.get("/v1/videos").json()["data"]) == 2
    while desk.worker.work():
        pass
    assert desk.step()
    assert desk.told(batch)["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


def test_a_large_batch_is_entered_a_few_lines_at_a_time(desk, monkeypatch):
    monkeypatch.setattr(batcher, "UNDER_WAY", 2)
    batch = desk.batch(*(line(f"line {number}") for number in range(5)))
    assert desk.step()
    made = 0
    while desk.told(batch)["status"] == "in_progress":
        assert desk.step()
        waiting = desk.service.jobs.counts().get("queued", 0)
        assert waiting <= 2
        while desk.worker.work():
            made += 1
    assert made == 5


def test_a_full_queue_makes_a_batch_wait(desk, monkeypatch):
    monkeypatch.setattr(type(desk.service.jobs), "add", lambda *_, **__: None)
    batch = desk.batch(line("one"))
    assert desk.step()
    assert desk.step()
    assert desk.told(batch)["request_counts"] == {"total": 1, "completed": 0, "failed": 0}
    monkeypatch.undo()
    assert desk.step()
    assert desk.service.jobs.counts() == {"queued": 1}


def test_cancelled_nothing_more_is_made(desk):
    batch = desk.batch(line("made"), line("not made"))
    desk.step()
    desk.step()
    assert desk.worker.work()
    cancelling = desk.http.post(f"/v1/batches/{batch['id']}/cancel").json()
    assert cancelling["status"] == "cancelling"
    assert desk.step()
    told = desk.told(batch)
    assert (told["status"], told["request_counts"]) == ("cancelled", {"total": 2, "completed": 1, "failed": 1})
    assert desk.lines(told["error_file_id"])[0]["error"]["code"] == "batch_cancelled"
    assert desk.service.jobs.counts() == {"completed": 1}
    assert error_of(desk.http.post(f"/v1/batches/{batch['id']}/cancel"), 400)["code"] == "batch_over"


def test_out_of_time(desk):
    batch = desk.batch(line("one"))
    desk.step()
    with desk.service.batches._single.connect() as connection:
        connection.execute(update(BATCHES).values(expires_at=1.0))
    assert desk.step()
    told = desk.told(batch)
    assert (told["status"], told["output_file_id"]) == ("expired", None)
    assert desk.lines(told["error_file_id"])[0]["error"]["code"] == "batch_expired"


def test_a_video_that_was_deleted_meanwhile(desk):
    batch = desk.batch(line("one"))
    desk.step()
    desk.step()
    desk.http.delete(f"/v1/videos/{desk.http.get('/v1/videos').json()['data'][0]['id']}")
    desk.step()
    told = desk.told(batch)
    assert desk.lines(told["error_file_id"])[0]["error"]["code"] == "video_deleted"


def test_a_file_that_is_no_batch(desk):
    batch = desk.batch(line("same"), line("same"), {"custom_id": "x"}, line("ok") | {"url": "/v1/chat/completions"})
    desk.step()
    told = desk.told(batch)
    assert told["status"] == "failed"
    assert [one["line"] for one in told["errors"]["data"]] == [2, 3, 4]
    assert "stands in an earlier line" in told["errors"]["data"][0]["message"]
    assert desk.service.jobs.counts() == {}


def test_an_input_file_that_is_gone(desk):
    batch = desk.batch(line("one"))
    desk.http.delete(f"/v1/files/{batch['input_file_id']}")
    desk.step()
    assert desk.told(batch)["errors"]["data"][0]["code"] == "file_not_found"


def test_an_input_file_whose_content_is_gone(desk):
    batch = desk.batch(line("one"))
    desk.service.store.delete(desk.service.files.get(batch["input_file_id"], "operator").digest)
    desk.step()
    assert desk.told(batch)["errors"]["data"][0]["code"] == "file_not_found"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"\n\n", "empty_file"),
        (b"[]\n", "invalid_line"),
        (b"{\n", "invalid_line"),
        (b"\xff\xfe\n", "invalid_line"),
        (b"[" * 100_000, "invalid_line"),
    ],
)
def test_lines_that_are_none(content, code, tmp_path):
    (path := tmp_path / "lines").write_bytes(content)
    lines, errors = read_lines(path)
    assert not lines
    assert [one["code"] for one in errors] == [code]


def test_too_many_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(batcher, "MOST_LINES", 3)
    (path := tmp_path / "lines").write_text("".join(json.dumps(line(str(n))) + "\n" for n in range(4)))
    assert [one["code"] for one in read_lines(path)[1]] == ["too_many_lines"]


@pytest.mark.parametrize(
    "change",
    [{"endpoint": "/v1/chat/completions"}, {"completion_window": "1h"}, {"input_file_id": "file-unknown"}],
)
def test_batches_that_are_not_begun(desk, change):
    file = desk.upload(b"{}").json()
    asked = {"input_file_id": file["id"], "endpoint": "/v1/videos", "completion_window": "24h"}
    assert error_of(desk.http.post("/v1/batches", json=asked | change), 400)["param"] == next(iter(change))
    assert desk.http.get("/v1/batches").json()["data"] == []


def test_nobody_sees_what_is_anothers(desk):
    batch = desk.batch(line("one"))
    keys = [desk.service.accounts.create(name, ["generate"]) for name in ("ada", "bob")]
    for key in keys:
        headers = {"Authorization": f"Bearer {key}"}
        for path in (f"/v1/batches/{batch['id']}", f"/v1/files/{batch['input_file_id']}"):
            assert desk.http.get(path, headers=headers).status_code == 404
        assert desk.http.get("/v1/batches", headers=headers).json()["data"] == []
        assert desk.http.get("/v1/files", headers=headers).json()["data"] == []


def test_of_a_key_that_was_withdrawn_nothing_more_is_made(desk):
    headers = {"Authorization": f"Bearer {desk.service.accounts.create('ada', ['generate'])}"}
    desk.http.headers.update(headers)
    batch = desk.batch(line("one"))
    desk.step()
    desk.service.accounts.withdraw(desk.service.accounts.all()[0].id)
    desk.step()
    told = desk.told(batch)  # the key is believed for half a minute
    assert (told["status"], told["request_counts"]["failed"]) == ("completed", 1)
    assert desk.service.jobs.counts() == {}


def test_whoever_wants_to_know_is_told_of_the_end(desk):
    desk.service.webhooks.create("operator", "me", "https://example.com", ["batch.failed", "video.completed"])
    batch = desk.batch({"custom_id": "x"})
    desk.step()
    delivery = desk.service.webhooks.due()
    assert json.loads(delivery.body)["type"] == "batch.failed"
    assert json.loads(delivery.body)["data"] == {"id": batch["id"]}


def test_an_upload_is_streamed_and_has_an_end(desk, monkeypatch):
    monkeypatch.setattr("kinemark.server.uploads.MOST_LINES", 1 << 20)
    answer = desk.upload(io.BytesIO(bytes((1 << 20) + 1)))
    assert error_of(answer, 413)["code"] == "file_too_large"
    assert isinstance(desk.service.files, Files)
