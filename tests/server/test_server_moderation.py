"""The moderation endpoint, as clients of OpenAI's ask it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from kinemark.server.limits import PROMPTS, Limits
from kinemark.server.moderation import MAX_TEXTS, moderation_app
from kinemark.settings import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    limits = Limits()
    limits.wait = lambda *_: 0.0
    return TestClient(moderation_app(Settings(tmp_path_factory.mktemp("home")), limits), raise_server_exceptions=False)


def asked(client, given):
    answer = client.post("/v1/moderations", json={"model": "any", "input": given})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


KEYS = st.sampled_from(["input", "type", "text", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)
BEHEADED = "a beheaded soldier"


@pytest.mark.parametrize("given", [BEHEADED, [BEHEADED], [{"type": "text", "text": BEHEADED}]])
def test_the_three_forms_of_a_question(client, given):
    (result,) = asked(client, given)
    assert result["flagged"]
    assert result["categories"]["violence"]
    assert not result["categories"]["hate"]
    assert set(result["category_scores"].values()) == {0.0, 1.0}
    verdict = result["kinemark"]
    assert (verdict["allow"], verdict["category"], verdict["appealable"]) == (False, "violence", True)


def test_what_is_made_is_not_flagged(client):
    boat, brand = asked(client, ["a red boat", "a red ferrari by the sea"])
    assert (boat["flagged"], brand["flagged"]) == (False, False)
    assert brand["kinemark"]["action"] == "rewrite"


def test_categories_of_the_policy_alone_have_its_names(client):
    (result,) = asked(client, "a castle in the style of a living artist")
    assert [name for name, is_so in result["categories"].items() if is_so] == ["style"]


PICTURE = {"type": "image_url"}
QUESTIONS = [{}, {"input": []}, {"input": [1]}, {"input": ""}, {"input": ["a"] * (MAX_TEXTS + 1)}, {"input": None}]


@pytest.mark.parametrize("body", [*QUESTIONS, {"input": [PICTURE]}, {"input": {"text": "a"}}])
def test_other_questions_are_told(client, body):
    answer = client.post("/v1/moderations", json=body)
    assert answer.status_code == 400
    assert "text" in answer.json()["error"]


def test_long_and_broken_bodies_are_told(client):
    assert client.post("/v1/moderations", content=b"{").status_code == 400
    assert client.post("/v1/moderations", json={"input": "a" * 70_000}).status_code == 413
    assert asked(client, "a boat " * 5000)[0]["kinemark"]["allow"] in {True, False}


@settings(max_examples=30, deadline=None)
@given(body=JSON)
def test_nothing_breaks_it(client, body):
    assert client.post("/v1/moderations", content=json.dumps(body)).status_code in {200, 400}


def test_strangers_may_not_ask_without_end(tmp_path):
    client = TestClient(moderation_app(Settings(tmp_path)))
    codes = [client.post("/v1/moderations", json={"input": ""}).status_code for _ in range(PROMPTS.count + 1)]
    assert codes == [400] * PROMPTS.count + [429]


def test_a_gate_that_fails_flags(client, tmp_path):
    home = Settings(tmp_path)
    home.classifiers_path.write_text('[[chat]]\nurl = "http://127.0.0.1:9/v1"\nmodel = "m"\nfamily = "policy"\n')
    (result,) = asked(TestClient(moderation_app(home)), "a red boat")
    assert (result["flagged"], result["kinemark"]["rule"]) == (True, "gate-failed")
