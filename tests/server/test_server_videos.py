"""The contract and its traps, over HTTP in this process; a worker is asked for by hand where a job is to be done."""

import base64
import io
import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from live import service_of
from PIL import Image
from sqlalchemy import update
from starlette.testclient import TestClient

from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_tags, read_video
from kinemark.server.app import api_app
from kinemark.server.jobs import RUNNING, Asset
from kinemark.server.sweep import sweep
from kinemark.server.tables import JOBS
from kinemark.server.worker import Worker
from kinemark.settings import Settings

BOAT = {"prompt": "a red boat drifts across the sea", "seconds": "1", "size": "128x128"}
KEY = {"Authorization": "Bearer anything"}


class Desk:
    """A client of the server, and a worker that works when it is told to."""

    def __init__(self, service):
        self.service = service
        self.http = TestClient(api_app(service), headers=KEY, raise_server_exceptions=False)
        self.worker = Worker(service.jobs, service.store, service.settings)

    def ask(self, path="/v1/videos", **body):
        answer = self.http.post(path, json=body or BOAT)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def made(self, path="/v1/videos", **body):
        asked = self.ask(path, **body)
        assert self.worker.work()
        done = self.http.get(f"/v1/videos/{asked['id']}").json()
        assert done["status"] == "completed", done["error"]
        return done


@pytest.fixture
def desk(tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")
    with Desk(service).http as http:
        desk = Desk(service)
        desk.http = http
        yield desk


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A desk with one finished clip; tests that use it change neither."""
    folder = tmp_path_factory.mktemp("finished")
    desk = Desk(service_of(Settings(home=folder / "home"), f"sqlite:///{folder / 'jobs.sqlite'}", folder / "files"))
    with desk.http:
        yield desk, desk.made()
    desk.service.jobs._engine.dispose()


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]
    return error


def png(height=128, width=128):
    held = io.BytesIO()
    Image.fromarray(np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)).save(
        held, "PNG"
    )
    return held.getvalue()


# Asking.


def test_every_encoding_is_the_same_request(desk):
    answers = [
        desk.http.post("/v1/videos", json=BOAT | {"seconds": 1}),
        desk.http.post("/v1/videos", data=BOAT),
        desk.http.post("/v1/videos", files={name: (None, value) for name, value in BOAT.items()}),
    ]
    told = [answer.json() for answer in answers]
    assert all(answer.status_code == 200 for answer in answers), told
    same = [{key: one[key] for key in ("prompt", "seconds", "size", "model", "status")} for one in told]
    assert same[0] == same[1] == same[2]
    assert same[0]["seconds"] == "1"
    jobs = [desk.service.jobs.get(one["id"]) for one in told]
    asked = [job.asked | {"seed": None} for job in jobs]  # each has drawn its own
    assert asked[0] == asked[1] == asked[2]
    assert len({job.asked["seed"] for job in jobs}) == 3


def test_what_is_not_said_is_as_the_contract_has_it(desk):
    told = desk.ask(prompt="a boat", model="sora-2-pro", colour_space="unknown fields are ignored")
    assert (told["seconds"], told["size"], told["model"]) == ("4", "720x1280", "tiny")
    assert told["kinemark"]["asked_model"] == "sora-2-pro"
    assert (told["object"], told["status"], told["progress"]) == ("video", "queued", 0)
    assert isinstance(told["created_at"], int)
    for empty in ("completed_at", "expires_at", "error", "remixed_from_video_id"):
        assert told[empty] is None


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": "   "}, "prompt", "invalid_value"),
        ({"prompt": None}, "prompt", "invalid_type"),
        ({"prompt": "a" * 32_001}, "prompt", "invalid_value"),
        ({"seconds": "0"}, "seconds", "invalid_value"),
        ({"seconds": "nan"}, "seconds", "invalid_value"),
        ({"seconds": "61"}, "seconds", "invalid_value"),
        ({"seconds": "four"}, "seconds", None),
        ({"size": "large"}, "size", "invalid_value"),
        ({"size": "129x128"}, "size", "invalid_value"),
        ({"size": "4000x4000"}, "size", "invalid_value"),
        ({"seed": -1}, "seed", "invalid_value"),
        ({"steps": 0}, "steps", "invalid_value"),
        ({"guidance": 99}, "guidance", "invalid_value"),
        ({"priority": 11}, "priority", "invalid_value"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "invalid_value"),
        ({"storyboard": [{"prompt": "a boat"}]}, "storyboard.0.start", "missing_required_parameter"),
        ({"input_reference": "first.png"}, "input_reference", "invalid_type"),
        ({"input_reference": {"file_id": 1}}, "input_reference", "invalid_type"),
        ({"input_reference": {"image_url": "http://169.254.169.254/"}}, "input_reference", "invalid_value"),
        ({"input_reference": {"image_url": "data:image/png;base64,%%"}}, "input_reference", "invalid_value"),
        ({"input_reference": {"image_url": "data:image/png;base64,AAAA"}}, "input_reference", "invalid_value"),
        ({"model": "sora-9"}, None, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said_of_the_field(desk, change, param, code):
    error = error_of(desk.http.post("/v1/videos", json=BOAT | change), 400)
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert error["type"] == "invalid_request_error"
    assert desk.service.jobs.counts() == {}


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_bodies_that_are_no_object(desk, body):
    answer = desk.http.post("/v1/videos", content=body, headers={"Content-Type": "application/json"})
    assert error_of(answer, 400)["code"] == "invalid_json"


def test_a_refusal_says_why_and_enters_nothing(desk):
    error = error_of(desk.http.post("/v1/videos", json=BOAT | {"prompt": "a naked child"}), 400)
    assert (error["code"], error["stage"], error["category"]) == ("moderation_blocked", "prompt", "minors")
    assert error["rule"]
    assert desk.service.jobs.counts() == {}


def test_prompts_of_a_storyboard_are_judged_too(desk):
    scenes = [{"prompt": "a naked child", "start": 0.5}]
    assert (
        error_of(desk.http.post("/v1/videos", json=BOAT | {"storyboard": scenes}), 400)["code"] == "moderation_blocked"
    )


def test_sending_it_again_is_the_same_job(desk):
    """The contract's trap: both SDKs send a POST again, and neither names it."""
    first = desk.ask()
    again = desk.http.post("/v1/videos", json=BOAT, headers={"x-stainless-retry-count": "1"}).json()
    assert again["id"] == first["id"]
    assert desk.ask()["id"] != first["id"]
    named = {"Idempotency-Key": "mine"}
    once, twice = (desk.http.post("/v1/videos", json=BOAT, headers=named).json() for _ in range(2))
    assert once["id"] == twice["id"] != first["id"]
    assert error_of(desk.http.post("/v1/videos", json=BOAT, headers={"Idempotency-Key": "k" * 256}), 400)


def test_pending_jobs_say_when_to_look_again(desk):
    told = desk.ask()
    answer = desk.http.get(f"/v1/videos/{told['id']}", headers={"X-Stainless-Poll-Helper": "true"})
    assert int(answer.headers["openai-poll-after-ms"]) > 0
    assert answer.json()["kinemark"]["position"] == 0
    assert desk.ask()["kinemark"]["position"] == 1


def test_events_tell_it_until_it_is_over(desk, monkeypatch):
    monkeypatch.setattr("kinemark.server.videos.LOOK", 0.01)
    told = desk.ask()
    working = threading.Thread(target=desk.worker.work)
    working.start()
    events = read_events(desk, told["id"])
    working.join()
    kinds = [kind for kind, _ in events]
    assert kinds[-1] == "video.completed"
    assert set(kinds) <= {"video.queued", "video.in_progress", "video.completed"}
    assert events[-1][1] == desk.http.get(f"/v1/videos/{told['id']}").json()
    assert read_events(desk, told["id"]) == events[-1:]


def test_events_of_what_is_deleted_end(desk, monkeypatch):
    monkeypatch.setattr("kinemark.server.videos.LOOK", 0.05)
    told = desk.ask()
    threading.Timer(0.3, lambda: desk.service.jobs.delete(told["id"], "operator")).start()
    assert [kind for kind, _ in read_events(desk, told["id"])] == ["video.queued", "video.deleted"]
    assert error_of(desk.http.get(f"/v1/videos/{told['id']}/events"), 404)


def read_events(desk, id_):
    """(kind, data) of every event until the server ends them."""
    text = desk.http.get(f"/v1/videos/{id_}/events").text
    parts = [part.split("\n") for part in text.split("\n\n") if part.startswith("event")]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in parts]


def test_a_clip_can_be_seen_while_it_is_made(desk, monkeypatch, tmp_path):
    """Judged, marked, labelled as a preview; it plays from its first piece on."""
    monkeypatch.setattr("kinemark.server.videos.LOOK", 0.01)
    told = desk.ask(**BOAT, preview=True)
    working = threading.Thread(target=desk.worker.work)
    working.start()
    (tmp_path / "preview.mp4").write_bytes(desk.http.get(f"/v1/videos/{told['id']}/preview").content)
    working.join()
    assert desk.http.get(f"/v1/videos/{told['id']}").json()["status"] == "completed"
    assert read_video(tmp_path / "preview.mp4").frames_THWC.shape == (8, 128, 128, 3)
    assert "preview without signature" in read_tags(tmp_path / "preview.mp4")["comment"]
    pieces = [role for role in desk.service.jobs.assets(told["id"]) if role.startswith("preview-")]
    assert len(pieces) >= 2
    first = desk.service.jobs.assets(told["id"])["preview-00000"]
    assert first.size < (tmp_path / "preview.mp4").stat().st_size
    without = desk.ask()
    assert error_of(desk.http.get(f"/v1/videos/{without['id']}/preview"), 404)["code"] == "no_preview"


def test_a_second_attempt_shows_itself_alone(desk):
    told = desk.ask(**BOAT, preview=True)
    dead = desk.service.jobs.claim("dead", lease=-1)
    assert desk.service.jobs.add_piece(dead, Asset("preview-00000", "ab" * 32, "video/mp4", 3))
    assert desk.worker.work()
    assert not desk.service.jobs.add_piece(dead, Asset("preview-09999", "ab" * 32, "video/mp4", 3))
    pieces = desk.service.jobs.assets(told["id"])
    assert pieces["preview-00000"].digest != "ab" * 32


# What was made.


def test_a_clip_is_made_and_told(finished):
    _, done = finished
    assert (done["status"], done["progress"], done["seconds"], done["size"]) == ("completed", 100, "1", "128x128")
    assert done["expires_at"] > done["completed_at"] >= done["created_at"]
    assert done["kinemark"]["made"] == {"size": [128, 128], "frames": 8, "fps": 8}
    assert len(done["kinemark"]["credential"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("variant", "kind", "head"),
    [("video", "video/mp4", b"ftyp"), ("thumbnail", "image/webp", b"WEBP"), ("spritesheet", "image/jpeg", b"\xff\xd8")],
)
def test_content_in_every_variant(finished, variant, kind, head):
    desk, done = finished
    answer = desk.http.get(
        f"/v1/videos/{done['id']}/content", params={"variant": variant}, headers={"Accept": "application/binary"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert head in answer.content[:12]
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert done["id"] in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", slice(0, 10)),
        ("bytes=5-", slice(5, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=10-99999999", slice(10, None)),
        ("bytes=0-1,4-5", slice(None)),
        ("lines=1-2", slice(None)),
        ("bytes=-", slice(None)),
    ],
)
def test_ranges(finished, asked, part):
    desk, done = finished
    path = f"/v1/videos/{done['id']}/content"
    whole = desk.http.get(path).content
    answer = desk.http.get(path, headers={"Range": asked})
    assert answer.content == whole[part]
    assert answer.status_code == (200 if part == slice(None) else 206)
    if answer.status_code == 206:
        start = range(len(whole))[part][0]
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(whole)}"


def test_ranges_and_copies_that_are_known(finished):
    desk, done = finished
    path = f"/v1/videos/{done['id']}/content"
    etag = desk.http.get(path).headers["etag"]
    known = desk.http.get(path, headers={"If-None-Match": f'"other", {etag}'})
    assert (known.status_code, known.content) == (304, b"")
    assert desk.http.get(path, headers={"Range": "bytes=0-3", "If-Range": etag}).status_code == 206
    assert desk.http.get(path, headers={"Range": "bytes=0-3", "If-Range": '"other"'}).status_code == 200
    assert error_of(desk.http.get(path, headers={"Range": "bytes=99999999-"}), 416)["code"] == "invalid_range"


def test_content_that_is_not_there_is_not_asked_for_again(desk):
    """Never 409, 408, 429 or 5xx: clients would hammer."""
    told = desk.ask()
    for variant, code in (("video", "video_not_ready"), ("film", "invalid_value")):
        answer = desk.http.get(f"/v1/videos/{told['id']}/content", params={"variant": variant})
        assert error_of(answer, 404 if variant == "video" else 400)["code"] == code
    desk.service.jobs.fail(desk.service.jobs.claim("w"), {"code": "server_error", "message": "the disk is full"})
    answer = desk.http.get(f"/v1/videos/{told['id']}/content")
    assert error_of(answer, 404)["code"] == "video_failed"
    assert answer.headers["x-should-retry"] == "false"
    failed = desk.http.get(f"/v1/videos/{told['id']}")
    assert failed.status_code == 200
    assert failed.json()["error"] == {"code": "server_error", "message": "the disk is full"}


def test_what_was_kept_long_enough(desk):
    desk.worker._keep = -1
    done = desk.made()
    digests = [asset.digest for asset in desk.service.jobs.assets(done["id"]).values()]
    assert sweep(desk.service) == len(digests) == 3
    assert not any(map(desk.service.store.has, digests))
    answer = desk.http.get(f"/v1/videos/{done['id']}/content")
    assert error_of(answer, 404)["code"] == "video_expired"
    error = error_of(desk.http.post(f"/v1/videos/{done['id']}/remix", json={"prompt": "at night"}), 400)
    assert "has expired" in error["message"]


# Deleting.


def test_deleting_deletes(desk):
    done = desk.made()
    digests = [asset.digest for asset in desk.service.jobs.assets(done["id"]).values()]
    assert all(map(desk.service.store.has, digests))
    # The trap: Python's SDK says that a DELETE without a body is JSON.
    answer = desk.http.delete(f"/v1/videos/{done['id']}", headers={"Content-Type": "application/json"})
    assert answer.json() == {"id": done["id"], "object": "video.deleted", "deleted": True}
    assert not any(map(desk.service.store.has, digests))
    for path in ("", "/content"):
        assert error_of(desk.http.get(f"/v1/videos/{done['id']}{path}"), 404)["code"] == "not_found"
    assert error_of(desk.http.delete(f"/v1/videos/{done['id']}"), 404)


def test_deleting_stops_what_is_made(desk, monkeypatch):
    """The worker notices at its next step, and leaves nothing."""
    monkeypatch.setattr("kinemark.server.worker.BEAT", 0.01)
    told = desk.ask(**(BOAT | {"seconds": "8"}))
    seen = []

    def report(beat, stage, step, total, preview=None):
        if stage == "sample" and step == 3:
            assert desk.http.delete(f"/v1/videos/{told['id']}").status_code == 200
            time.sleep(0.5)
        seen.append((stage, step))
        original(beat, stage, step, total, preview)

    from kinemark.server.worker import Beat

    original = Beat.report
    monkeypatch.setattr(Beat, "report", report)
    assert desk.worker.work()
    assert seen[-1] == ("sample", 3)
    assert desk.service.jobs.counts() == {}
    assert not any(path for path in (desk.service.settings.home / "..").resolve().rglob("clip.mp4"))


# Lists.


def test_lists_end(desk):
    """The trap: both SDKs go on for as long as `has_more` is said."""
    made = [desk.ask()["id"] for _ in range(5)]
    seen, after, turns = [], None, 0
    while True:
        page = desk.http.get("/v1/videos", params={"limit": 2} | ({"after": after} if after else {})).json()
        assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
        seen += [one["id"] for one in page["data"]]
        after, turns = page["last_id"], turns + 1
        if not page["has_more"]:
            break
    assert seen == made[::-1]
    assert turns == 3
    oldest = desk.http.get("/v1/videos", params={"order": "asc"}).json()
    assert [one["id"] for one in oldest["data"]] == made
    empty = desk.http.get("/v1/videos", params={"limit": 0}).json()
    assert (empty["data"], empty["has_more"], empty["first_id"]) == ([], False, None)
    for wrong in ({"limit": "101"}, {"limit": "-1"}, {"order": "up"}):
        error_of(desk.http.get("/v1/videos", params=wrong), 400)


# From other clips.


def test_a_picture_begins_the_clip(desk):
    url = "data:image/png;base64," + base64.b64encode(png()).decode()
    told = desk.made(**BOAT, input_reference={"image_url": url})
    assert "input_reference" in desk.service.jobs.assets(told["id"])
    form = desk.http.post("/v1/videos", data=BOAT, files={"input_reference": ("p", png(), "application/octet-stream")})
    assert form.status_code == 200, form.text


@pytest.mark.slow
def test_remix_extend_connect_loop(finished):
    desk, done = finished
    more = {"prompt": "a red boat at night", "video": {"id": done["id"]}}
    remix = desk.made(f"/v1/videos/{done['id']}/remix", prompt="a red boat at night")
    assert (remix["remixed_from_video_id"], remix["seconds"], remix["size"]) == (done["id"], "1", "128x128")
    assert desk.made("/v1/videos/edits", **more)["remixed_from_video_id"] == done["id"]
    assert desk.made("/v1/videos/extensions", **more, seconds="1")["seconds"] == "2"
    assert desk.made("/v1/videos/extensions", **more, seconds=0.5, before=True)["seconds"] == "1.5"
    both = desk.made("/v1/videos/connections", **more, to={"id": remix["id"]}, seconds="1")
    assert both["seconds"] == "3"
    assert desk.made("/v1/videos/loops", **more, seconds="0.5")["seconds"] == "1.5"


def test_an_upload_is_what_it_is_and_not_what_it_is_called(desk, tmp_path):
    frames = np.linspace(0, 255, 9 * 128 * 160 * 3).reshape(9, 128, 160, 3).astype(np.uint8)
    encode_mp4(frames, 8.0, tmp_path / "clip.mp4")
    clip = (tmp_path / "clip.mp4").read_bytes()
    asked = {"prompt": "it goes on", "seconds": "0.5"}
    told = desk.http.post(
        "/v1/videos/extensions", data=asked, files={"video": ("../../etc/passwd", clip, "text/plain")}
    )
    assert told.status_code == 200, told.text
    assert told.json()["size"] == "160x128"
    assert desk.worker.work()
    for content, what in ((png(), "picture"), (b"no video", "text"), (b"", "nothing"), (clip[:2000], "half")):
        answer = desk.http.post("/v1/videos/extensions", data=asked, files={"video": ("a.mp4", content, "video/mp4")})
        assert error_of(answer, 400)["param"] == "video", what


def test_clips_that_cannot_be_used(desk):
    waiting = desk.ask()
    asked = {"prompt": "it goes on", "seconds": "1"}
    for video, status, code in (
        ({"id": waiting["id"]}, 400, "video_not_ready"),
        ({"id": "video_unknown"}, 404, "not_found"),
        ({"url": "http://x"}, 400, "invalid_type"),
        (5, 400, "invalid_type"),
    ):
        error = error_of(desk.http.post("/v1/videos/extensions", json=asked | {"video": video}), status)
        assert (error["code"], error["param"]) == (code, "video")
    error = error_of(desk.http.post("/v1/videos/extensions", json=asked), 400)
    assert (error["code"], error["param"]) == ("missing_required_parameter", "video")


def test_what_a_worker_does_not_understand_fails_with_a_reason(desk):
    told = desk.ask()
    another = desk.service.jobs.get(told["id"]).asked | {"verb": "as another version might have written it"}
    desk.service.jobs._run(update(JOBS).values(asked=another))
    assert desk.worker.work()
    failed = desk.http.get(f"/v1/videos/{told['id']}").json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "server_error")
    assert "Traceback" not in json.dumps(failed)


# Who asks.


def test_everybody_has_their_own(tmp_path):
    service = service_of(Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")
    service = replace(service, keyless=False)
    keys = {name: service.accounts.create(name, ["generate"], per_day=2) for name in ("ada", "bob")}
    reader = service.accounts.create("reader", ["verify"])
    with TestClient(api_app(service)) as http:

        def as_(key):
            return {"Authorization": f"Bearer {key}"}

        told = http.post("/v1/videos", json=BOAT, headers=as_(keys["ada"])).json()
        assert http.get(f"/v1/videos/{told['id']}", headers=as_(keys["ada"])).status_code == 200
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/content"), ("POST", "/remix")):
            answer = http.request(
                method, f"/v1/videos/{told['id']}{path}", headers=as_(keys["bob"]), json={"prompt": "x"}
            )
            assert error_of(answer, 404)["code"] == "not_found"
        assert http.get("/v1/videos", headers=as_(keys["bob"])).json()["data"] == []
        assert error_of(http.get("/v1/videos"), 401)["code"] == "missing_api_key"
        assert error_of(http.get("/v1/videos", headers=as_("km_0_0")), 401)["code"] == "invalid_api_key"
        assert error_of(http.get("/v1/videos", headers=as_("anything")), 401)["code"] == "invalid_api_key"
        assert error_of(http.post("/v1/videos", json=BOAT, headers=as_(reader)), 403)["code"] == "insufficient_scope"
        assert http.post("/v1/videos", json=BOAT, headers=as_(keys["ada"])).status_code == 200
        third = http.post("/v1/videos", json=BOAT, headers=as_(keys["ada"]))
        assert error_of(third, 429)["code"] == "rate_limit_exceeded"
        assert third.headers["x-should-retry"] == "false"


def test_pages_in_a_browser_cannot_ask_unasked(desk):
    """Without keys the header is wanted all the same, and no other origin is answered."""
    bare = TestClient(desk.http.app, raise_server_exceptions=False)
    assert error_of(bare.post("/v1/videos", data=BOAT), 401)["code"] == "missing_api_key"
    asked = {"Origin": "https://elsewhere", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in bare.options("/v1/videos", headers=asked).headers


def test_too_much_waits(tmp_path):
    service = service_of(
        Settings(home=tmp_path / "home"), f"sqlite:///{tmp_path / 'j.sqlite'}", tmp_path / "files", most_waiting=2.5
    )
    with TestClient(api_app(service), headers=KEY) as http:
        assert [http.post("/v1/videos", json=BOAT).status_code for _ in range(3)] == [200, 200, 429]


# Around every answer.


def test_answers_are_careful(desk):
    answer = desk.http.get("/v1/videos", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (
        desk.http.get("/v1/videos", headers={"x-request-id": "two\tlines"}).headers["x-request-id"].startswith("req_")
    )
    assert error_of(desk.http.get("/v1/nothing"), 404)
    assert error_of(desk.http.put("/v1/videos", json={}), 405)


def test_a_body_without_end(desk, monkeypatch):
    monkeypatch.setattr("kinemark.server.app.MOST_BODY", 1000)
    answer = desk.http.post("/v1/videos", content=b" " * 2000, headers={"Content-Type": "application/json"})
    assert error_of(answer, 413)["code"] == "request_too_large"


def test_health_and_figures(desk):
    assert desk.http.get("/healthz").text == "ok"
    assert desk.http.get("/readyz").json() == {"ready": True}
    desk.ask()
    figures = desk.http.get("/metrics").text
    assert 'kinemark_jobs{status="queued"} 1.0' in figures
    assert 'kinemark_requests_total{method="POST",route="/v1/videos",status="200"} 1.0' in figures


def test_without_its_database_nothing_is_entered_and_that_is_said(desk):
    folder = desk.service.settings.home.parent
    for path in folder.glob("jobs.sqlite*"):
        path.unlink()
    (folder / "jobs.sqlite").mkdir()
    desk.service.jobs._engine.dispose()
    assert desk.http.get("/healthz").text == "ok"
    assert desk.http.get("/readyz").status_code == 503
    answer = desk.http.post("/v1/videos", json=BOAT)
    assert error_of(answer, 503)["code"] == "unavailable"
    assert answer.headers["retry-after"]


def test_the_checks_are_there_too(desk):
    assert desk.http.post("/v1/moderations", json={"input": "a boat"}).json()["results"][0]["flagged"] is False
    assert desk.http.get("/services/supportedAlgorithms").status_code == 200


def test_a_worker_that_is_told_to_stop_gives_its_job_back(desk, monkeypatch):
    told = desk.ask(**(BOAT | {"seconds": "8"}))
    from kinemark.server.worker import Beat

    original = Beat.report

    def report(beat, stage, step, total, preview=None):
        if stage == "sample" and step == 2:
            assert desk.service.jobs.get(told["id"]).status == RUNNING
            desk.worker.stop.set()
        original(beat, stage, step, total, preview)

    monkeypatch.setattr(Beat, "report", report)
    assert desk.worker.work()
    back = desk.service.jobs.get(told["id"])
    assert (back.status, back.attempts) == ("queued", 0)


@pytest.mark.parametrize("model", ["/etc/passwd.safetensors", "../other.safetensors", "a/b", "a\\b"])
def test_no_file_is_read_because_a_client_names_it(desk, model):
    error = error_of(desk.http.post("/v1/videos", json=BOAT | {"model": model}), 400)
    assert "files are named in the operator's aliases.toml" in error["message"]


def test_a_negative_prompt_is_made_and_judged(desk):
    made = desk.made(**BOAT, negative_prompt="snow", guidance=3)
    assert desk.service.jobs.get(made["id"]).asked["negative_prompt"] == "snow"
    asked = BOAT | {"prompt": "a woman dances on the beach", "negative_prompt": "clothes"}
    assert error_of(desk.http.post("/v1/videos", json=asked), 400)["code"] == "moderation_blocked"


def test_two_clips_become_one_and_parts_of_one_are_kept(desk):
    first, second = desk.made(), desk.made(**BOAT | {"seconds": "2"})
    one, other = {"id": first["id"]}, {"id": second["id"]}
    blended = desk.made("/v1/videos/blends", prompt="a boat", video=one, to=other, curve=[[0, 1], [1, 0]])
    assert (blended["seconds"], blended["remixed_from_video_id"]) == ("1", first["id"])
    kept = [{"start": 0.5, "end": 1.0}, {"start": 1.5, "end": 2.0, "at": 2.5}]
    recut = desk.made("/v1/videos/recuts", prompt="a boat", video=other, keep=kept, seconds=3)
    assert recut["seconds"] == "3"
    assert desk.made("/v1/videos/recuts", prompt="a boat", video=other, keep=kept[:1])["seconds"] == "2"


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        ("blends", {"curve": [[0, 1]]}, "curve"),
        ("blends", {"curve": [[0.5, 1], [0, 0]]}, "curve"),
        ("blends", {"curve": [[0, 1], [1, 2]]}, "curve.1.1"),
        ("blends", {"to": "video_unknown"}, "to"),
        ("recuts", {"keep": []}, "keep"),
        ("recuts", {"keep": [{"start": -1, "end": 1}]}, "keep.0.start"),
        ("recuts", {"keep": [{"start": 0, "end": 1}], "seconds": "61"}, "seconds"),
    ],
)
def test_what_cannot_be_blended_or_cut(finished, path, change, param):
    desk, video = finished
    asked = {"prompt": "a boat", "video": {"id": video["id"]}, "to": {"id": video["id"]}} | change
    answer = desk.http.post(f"/v1/videos/{path}", json=asked)
    assert error_of(answer, 404 if param == "to" else 400)["param"] == param
