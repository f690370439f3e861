"""People who agreed to be shown, by their handles, and nobody else."""

import datetime as dt

import pytest
from live import service_of
from starlette.testclient import TestClient

from kinemark.safety.consent.record import Consent, Scope
from kinemark.safety.consent.register import Register
from kinemark.server.app import api_app
from kinemark.settings import Settings

BOAT = {"seconds": "1", "size": "128x128"}
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture
def home(tmp_path):
    return Settings(home=tmp_path / "home")


@pytest.fixture
def http(home, tmp_path):
    service = service_of(home, f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "files")
    with TestClient(api_app(service), headers={"Authorization": "Bearer anything"}) as client:
        yield client


@pytest.fixture
def ada(home):
    scope = Scope(
        verbs=["generate"], modalities=["face"], audience="all", until=NOW.date() + dt.timedelta(days=90), forbidden=[]
    )
    description = "a tall woman with short grey hair"
    consent = Consent(
        handle="ada", description=description, given_by="person", adult=True, proof="a signed form", scope=scope
    )
    with Register(home.consent_dir) as register:
        register.add(consent, b"the face of nobody at all" * 20, now=NOW)


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("id_", ["ada", "@ada", "Ada"])
def test_who_agreed_is_known_by_the_handle(http, id_):
    told = http.get(f"/v1/videos/characters/{id_}").json()
    assert told == {"id": "ada", "name": "@ada", "created_at": int(NOW.timestamp())}


def test_who_did_not_agree_is_nobody(http):
    assert error_of(http.get("/v1/videos/characters/ada"), 404)["code"] == "not_found"


@pytest.mark.usefixtures("ada")
def test_who_withdrew_is_nobody_too(http, home):
    with Register(home.consent_dir) as register:
        register.revoke("ada", now=NOW)
    for id_ in ("ada", "bob", "a" * 200):
        assert error_of(http.get(f"/v1/videos/characters/{id_}"), 404)["code"] == "not_found"


def test_nobody_agrees_by_an_upload(http):
    answer = http.post("/v1/videos/characters", data={"name": "Ada"}, files={"video": ("a.mp4", b"x", "video/mp4")})
    assert error_of(answer, 400)["code"] == "consent_required"


@pytest.mark.parametrize(
    ("prompt", "ids", "code"),
    [
        ("a woman walks", ["ada"], "character_not_named"),
        ("@ada walks", ["ada", "bob"], "character_not_named"),
        ("@ada and @bob and @eve", ["ada", "bob", "eve"], "invalid_value"),
        ("@ada walks", [""], "invalid_value"),
    ],
)
def test_characters_are_named_where_the_gates_look(http, prompt, ids, code):
    asked = BOAT | {"prompt": prompt, "characters": [{"id": id_} for id_ in ids]}
    error = error_of(http.post("/v1/videos", json=asked), 400)
    assert error["code"] == code
    assert error["param"].startswith("characters")


@pytest.mark.usefixtures("ada")
def test_a_named_character_is_asked_for_in_every_encoding(http):
    as_json = http.post("/v1/videos", json=BOAT | {"prompt": "@ada walks", "characters": [{"id": "ada"}]})
    as_form = http.post("/v1/videos", data=BOAT | {"prompt": "@ada walks", "characters[][id]": "ada"})
    assert as_json.status_code == as_form.status_code == 200, as_json.text + as_form.text
