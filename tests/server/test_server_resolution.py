import base64
import json
import threading
import time

import pytest
import uvicorn
from starlette.testclient import TestClient

from command_line import run
from kinemark.data.encode import encode_mp4
from kinemark.provenance.detect import ask_operators, verify
from kinemark.provenance.fingerprints import iscc
from kinemark.provenance.records import manifests
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.records.manifests import forget
from kinemark.provenance.signing import rotation, trust
from kinemark.provenance.signing.credentials import WATERMARK_ALGORITHM
from kinemark.server import resolution
from kinemark.server.limits import Limits
from kinemark.server.resolution import resolution_app
from kinemark.settings import Settings

from conftest import scene  # isort: skip


@pytest.fixture
def client(settings):
    return TestClient(resolution_app(settings), raise_server_exceptions=False)


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


def entry_of(settings, released):
    with Ledger.open(settings.ledger_path) as ledger:
        return ledger.find(released.id)


def by_binding(client, algorithm, value, **more):
    return client.get("/matches/byBinding", params={"alg": algorithm, "value": base64_of(value)} | more)


def labels(answer):
    assert answer.status_code == 200, answer.text
    return [match["manifestId"] for match in answer.json()["matches"]]


def erase(settings, released):
    forget(settings.manifests_dir, released.id)
    with Ledger.open(settings.ledger_path) as ledger:
        ledger.erase(released.id)


def test_a_binding_leads_to_the_manifest_that_the_file_left_with(client, settings, installation):
    released = installation[1]["plain"]
    entry = entry_of(settings, released)
    for algorithm, value in ((WATERMARK_ALGORITHM, released.id), (iscc.ISCC_ALGORITHM, entry.body["iscc"])):
        (label,) = labels(by_binding(client, algorithm, value))
        assert label == entry.body["manifest"]
        posted = client.post("/matches/byBinding", json={"alg": algorithm, "value": base64_of(value)})
        assert labels(posted) == [label]
    store = client.get(f"/manifests/{label}")
    assert store.headers["content-type"] == "application/c2pa"
    assert store.content in released.path.read_bytes()
    assert client.get(f"/manifests/{label}", params={"returnActiveManifest": "true"}).content == store.content


def test_a_stripped_copy_gets_its_manifest_back(client, settings, installation, stripped):
    label = entry_of(settings, installation[1]["plain"]).body["manifest"]
    for parameters in ({}, {"alg": WATERMARK_ALGORITHM}, {"alg": iscc.ISCC_ALGORITHM}):
        answer = client.post(
            "/matches/byContent",
            params=parameters,
            content=stripped.read_bytes(),
            headers={"Content-Type": "video/mp4"},
        )
        assert labels(answer) == [label]


def test_other_footage_gets_nothing(client, tmp_path):
    encode_mp4(scene(99), 8.0, tmp_path / "other.mp4")
    answer = client.post(
        "/matches/byContent", content=(tmp_path / "other.mp4").read_bytes(), headers={"Content-Type": "video/mp4"}
    )
    assert labels(answer) == []
    assert labels(by_binding(client, WATERMARK_ALGORITHM, "00000000")) == []


def test_a_watermark_alone_never_leads_to_a_person(client, settings, installation):
    released = installation[1]["credited"]
    entry = entry_of(settings, released)
    assert labels(by_binding(client, WATERMARK_ALGORITHM, released.id)) == []
    assert labels(by_binding(client, iscc.ISCC_ALGORITHM, entry.body["iscc"])) == [entry.body["manifest"]]


def test_what_was_erased_is_gone(client, settings, installation):
    released = installation[1]["gone"]
    entry = entry_of(settings, released)
    label = entry.body["manifest"]
    receipt = client.get(f"/manifests/{label}/receipts").json()
    erase(settings, released)
    assert client.get(f"/manifests/{label}").status_code == 410
    assert client.get(f"/manifests/{label}/receipts").status_code == 410
    assert client.post(f"/manifests/{label}/receipts", json=receipt).status_code == 410
    assert labels(by_binding(client, WATERMARK_ALGORITHM, released.id)) == []
    assert labels(by_binding(client, iscc.ISCC_ALGORITHM, entry.body["iscc"])) == []
    assert not list(settings.manifests_dir.rglob(f"{released.id}*"))


def test_a_manifest_that_was_changed_on_the_disk_is_not_given_out(client, settings, installation):
    released = installation[1]["plain"]
    path = manifests._path(settings.manifests_dir, released.id)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert client.get(f"/manifests/{entry_of(settings, released).body['manifest']}").status_code == 404


def test_a_receipt_proves_the_entry_until_something_is_changed(client, settings, installation):
    label = entry_of(settings, installation[1]["plain"]).body["manifest"]
    other = entry_of(settings, installation[1]["credited"]).body["manifest"]
    receipt = client.get(f"/manifests/{label}/receipts").json()
    assert receipt.pop("verified") is True
    assert client.post(f"/manifests/{label}/receipts", json=receipt).json()["verified"] is True
    rotation.rotate(settings.keys_dir)
    assert client.post(f"/manifests/{label}/receipts", json=receipt).json()["verified"] is True
    assert client.post(f"/manifests/{other}/receipts", json=receipt).json()["verified"] is False
    proof = receipt["anchor"]["proof"]
    for name, value in (
        ("leaf", "00" * 32),
        ("index", proof["index"] + 1),
        ("size", proof["size"] + 1),
        ("root", "00" * 32),
        ("path", []),
        ("path", ["00" * 32] * 70),
        ("time", "2020-01-01T00:00:00Z"),
        ("signature", "AAAA"),
        ("certificates", "no"),
        ("index", "one"),
        ("size", None),
    ):
        changed = json.loads(json.dumps(receipt))
        changed["anchor"]["proof"][name] = value
        answer = client.post(f"/manifests/{label}/receipts", json=changed).json()
        assert (answer["verified"], bool(answer["error"])) == (False, True)


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "says"),
    [
        ("GET", "/matches/byBinding", {"params": {"alg": "x", "value": "eA=="}}, 400, "this service knows"),
        ("GET", "/matches/byBinding", {"params": {"alg": WATERMARK_ALGORITHM}}, 400, "base64"),
        ("GET", "/matches/byBinding", {"params": {"alg": WATERMARK_ALGORITHM, "value": "\xff"}}, 400, "base64"),
        ("GET", "/matches/byBinding", {"params": {"alg": iscc.ISCC_ALGORITHM, "value": "eA=="}}, 400, "Video-Code"),
        ("GET", "/matches/byBinding", {"params": {"alg": iscc.ISCC_ALGORITHM, "value": "A" * 9999}}, 400, "too long"),
        ("POST", "/matches/byBinding", {"content": b"{"}, 400, "no JSON"),
        ("POST", "/matches/byBinding", {"content": b"[" * 60_000}, 400, "no JSON"),
        ("POST", "/matches/byBinding", {"content": b"[]"}, 400, "object"),
        ("POST", "/matches/byBinding", {"content": b"x" * 70_000}, 413, "longer"),
        ("POST", "/matches/byContent", {"content": b"x"}, 415, "video/mp4"),
        ("POST", "/matches/byContent", {"content": b"", "headers": {"Content-Type": "video/mp4"}}, 400, "empty"),
        (
            "POST",
            "/matches/byContent",
            {"content": b"x" * 99, "headers": {"Content-Type": "video/mp4"}},
            400,
            "damaged",
        ),
        ("POST", "/matches/byReference", {"json": {"referenceUrl": "http://127.0.0.1/"}}, 501, "fetches no addresses"),
        ("GET", "/manifests/urn:c2pa:none", {}, 404, "no manifest"),
        ("GET", "/manifests/urn:c2pa:none/receipts", {}, 404, "no manifest"),
        ("POST", "/manifests", {"content": b"x"}, 403, "releases alone"),
        ("DELETE", "/manifests/urn:c2pa:none", {}, 403, "releases alone"),
        ("PUT", "/bindings", {"json": {}}, 403, "releases alone"),
        ("GET", "/nowhere", {}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_answered_is_said(client, method, path, options, status, says):
    answer = client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    assert says in answer.json()["error"]


@pytest.mark.parametrize("most", ["0", "-1", "x", "101", "9" * 40])
def test_the_number_of_answers_has_limits(client, most):
    assert by_binding(client, WATERMARK_ALGORITHM, "00000000", maxResults=most).status_code == 400


def test_an_upload_that_is_too_long_is_stopped(client, monkeypatch):
    monkeypatch.setattr(resolution, "MAX_UPLOAD", 1000)
    headers = {"Content-Type": "video/mp4"}
    assert client.post("/matches/byContent", content=b"x" * 1001, headers=headers).status_code == 413
    pieces = (b"x" * 100 for _ in range(11))  # no Content-Length
    assert client.post("/matches/byContent", content=pieces, headers=headers).status_code == 413


def test_whoever_asks_too_often_waits(settings):
    client = TestClient(resolution_app(settings, Limits(lambda: 0.0)))
    answers = [by_binding(client, WATERMARK_ALGORITHM, "00000000").status_code for _ in range(121)]
    assert answers == [200] * 120 + [429]
    last = by_binding(client, WATERMARK_ALGORITHM, "00000000")
    assert last.headers["retry-after"] == "60"
    assert client.get("/services/supportedAlgorithms").status_code == 200


def test_a_picture_cannot_be_tried_without_end(settings, stripped, monkeypatch):
    monkeypatch.setattr(resolution, "CONTENT", resolution.BINDINGS)  # as if from many addresses
    client = TestClient(resolution_app(settings, Limits(lambda: 0.0)))
    content, headers = stripped.read_bytes(), {"Content-Type": "video/mp4"}
    answers = [client.post("/matches/byContent", content=content, headers=headers).status_code for _ in range(13)]
    assert answers == [200] * 12 + [429]


def test_answers_hold_no_scores(client, settings, installation):
    answer = by_binding(client, iscc.ISCC_ALGORITHM, entry_of(settings, installation[1]["plain"]).body["iscc"])
    assert [set(match) for match in answer.json()["matches"]] == [{"manifestId"}]


def test_the_algorithms_and_any_origin(client):
    answer = client.get("/services/supportedAlgorithms", headers={"Origin": "https://verifier.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json() == {
        "watermarks": [{"alg": WATERMARK_ALGORITHM}],
        "fingerprints": [{"alg": iscc.ISCC_ALGORITHM}],
    }


def test_a_damaged_ledger_is_told_to_its_owner_and_not_to_strangers(client, settings):
    settings.ledger_path.write_bytes(b"damaged" * 1000)
    answer = by_binding(client, WATERMARK_ALGORITHM, "00000000")
    assert answer.status_code == 500
    assert str(settings.home) not in answer.text


# --- from one installation to another ---------------------------------------------------------------------------------


@pytest.fixture
def service(settings):
    """(address, settings) of a server that answers for the copied installation."""
    config = uvicorn.Config(resolution_app(settings), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", settings
    server.should_exit = True
    thread.join()


@pytest.fixture
def newsroom(service, tmp_path):
    """Another installation that added the first one by the document at its well-known address."""
    import httpx

    elsewhere = Settings(home=tmp_path / "newsroom")
    (tmp_path / "kinemark.json").write_bytes(httpx.get(f"{service[0]}/.well-known/kinemark.json").content)
    trust.add("studio", tmp_path / "kinemark.json", elsewhere)
    return elsewhere


def test_an_operators_document_leads_to_the_resolver(newsroom, service):
    (studio,) = trust.trusted(newsroom)
    assert (studio.name, studio.resolver, studio.serials) == ("studio", service[0], None)


def test_a_newsroom_finds_the_credentials_of_a_stripped_clip(
    newsroom, service, installation, stripped, monkeypatch, capsys
):
    plain = verify(stripped, newsroom, quick=True)
    assert not plain.recognised
    found = ask_operators(plain, newsroom)
    asked = found.findings[1]
    assert (asked.signal, asked.verdict, asked.id) == ("credentials", "hint", installation[1]["plain"].id)
    assert "operator:studio" in asked.detail["says"]
    assert not found.recognised
    monkeypatch.setenv("KINEMARK_HOME", str(newsroom.home))
    code, printed, _ = run(capsys, "verify", stripped, "--quick", "--resolve")
    assert code == 0
    assert "has its credentials" in " ".join(printed.split())


def test_a_withdrawn_signer_is_not_believed(newsroom, service, stripped, tmp_path):
    rotation.revoke(service[1].keys_dir)
    trust.update("studio", service[1].keys_dir / "revoked.crl", newsroom)
    found = ask_operators(verify(stripped, newsroom, quick=True), newsroom)
    assert found.findings[1].verdict == "none"


def test_a_service_that_does_not_answer_is_a_finding(newsroom, tmp_path, stripped):
    path = newsroom.home / "trust" / "studio.json"
    path.write_text('{"signers": null, "resolver": "http://127.0.0.1:9"}')
    found = ask_operators(verify(stripped, newsroom, quick=True), newsroom)
    assert "in vain" in found.findings[1].detail["says"]


def test_the_own_ledger_gives_a_stripped_clip_its_credentials_back(
    settings, stripped, installation, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("KINEMARK_HOME", str(settings.home))
    label = entry_of(settings, installation[1]["plain"]).body["manifest"]
    found = verify(stripped, settings)
    assert found.findings[0].detail["kept"] == label
    code, _, err = run(capsys, "ledger", "find", stripped, "--manifest", tmp_path / "back.c2pa")
    assert code == 0
    assert "left with" in err
    assert (tmp_path / "back.c2pa").read_bytes() in installation[1]["plain"].path.read_bytes()
    assert run(capsys, "ledger", "erase", installation[1]["plain"].id)[0] == 0
    assert run(capsys, "ledger", "find", stripped, "--manifest", tmp_path / "again.c2pa")[0] == 2
    assert not (tmp_path / "again.c2pa").exists()
    assert "kept" not in verify(stripped, settings).findings[0].detail
