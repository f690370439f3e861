"""Classifiers behind endpoints, over real HTTP; whatever does not answer as it should has failed."""

import numpy as np
import pytest
from served import served

from kinemark.endpoints import Endpoint
from kinemark.errors import FailureError
from kinemark.safety.classifiers.endpoints import Chat, Moderation
from kinemark.safety.gates import judge_prompt
from kinemark.safety.policy.file import load_policy

POLICY = load_policy()
TEXTS = ["a red boat", "they kill time"]


@pytest.fixture
def server():
    with served() as state:
        yield state


def actions(judgements) -> list[str]:
    return [judgement.action for judgement in judgements]


def test_texts_are_moderated_in_one_call(server):
    found = Moderation(Endpoint(server.url, "omni", key="secret")).prompts(TEXTS, POLICY)
    assert actions(found) == ["allow", "refuse"]
    assert (found[1].category, found[1].rule) == ("violence", "violence-moderation")
    ((path, body, headers),) = server.asked
    assert (path, body) == ("/v1/moderations", {"model": "omni", "input": TEXTS})
    assert headers["Authorization"] == "Bearer secret"


def test_pictures_are_moderated_one_by_one(server):
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    frames[:, :, :, 1] = 100
    frames[1] = (220, 10, 10)
    assert actions(Moderation(Endpoint(server.url, "omni")).pictures(frames, POLICY)) == ["allow", "refuse"]
    assert len(server.asked) == 2


def test_a_guard_model_is_asked_as_chat(server):
    found = Chat(Endpoint(server.url, "guard"), "llama-guard").prompts(TEXTS, POLICY)
    assert actions(found) == ["allow", "refuse"]
    assert server.asked[0][1]["temperature"] == 0


def test_it_has_a_say_beside_ours(server):
    judge = Chat(Endpoint(server.url, "guard"), "llama-guard").prompts
    assert all(one.allow for one in judge_prompt("friends kill time in a park", POLICY))
    refused = judge_prompt("friends kill time in a park", POLICY, (judge,))
    assert [one.rule for one in refused if not one.allow] == ["violence-llama-guard"]


def test_what_ours_refuses_is_told_to_nobody(server):
    judge_prompt("a beheaded soldier", POLICY, (Moderation(Endpoint(server.url, "omni")).prompts,))
    assert server.asked == []


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"not json", b"{}", b'{"results": []}', b'{"results": [{"flagged": true}]}',
     b'{"results": [{"categories": 3}]}', b'{"choices": []}', b'{"choices": [{"message": {"content": "sure!"}}]}'],
)  # fmt: skip
def test_an_answer_that_is_none_refuses(server, raw):
    server.raw = raw
    for judge in (
        Moderation(Endpoint(server.url, "m")).prompts,
        Chat(Endpoint(server.url, "m"), "llama-guard").prompts,
    ):
        with pytest.raises(FailureError):
            judge(["a red boat"], POLICY)
        refused = judge_prompt("a red boat", POLICY, (judge,))[-1]
        assert (refused.action, refused.rule) == ("refuse", "gate-failed")


@pytest.mark.parametrize("status", [301, 401, 429, 500])
def test_an_error_of_the_server_refuses(server, status):
    server.status = status
    with pytest.raises(FailureError, match="gave no answer: HTTPStatusError"):
        Moderation(Endpoint(server.url, "m")).prompts(["a"], POLICY)


def test_a_server_that_is_slow_or_gone_refuses(server):
    server.sleep = 1.0
    with pytest.raises(FailureError, match="ReadTimeout"):
        Moderation(Endpoint(server.url, "m", seconds=0.1)).prompts(["a"], POLICY)
    with pytest.raises(FailureError, match="ConnectError"):
        Moderation(Endpoint("http://127.0.0.1:9/v1", "m")).prompts(["a"], POLICY)


def test_an_endless_answer_is_not_believed(server):
    server.raw = b'{"results": [' + b" " * (2 << 20) + b"]}"
    with pytest.raises(FailureError, match="answered 20"):
        Moderation(Endpoint(server.url, "m")).prompts(["a"], POLICY)


def test_a_flag_without_a_name_refuses(server):
    server.raw = b'{"results": [{"flagged": true, "categories": {}, "category_scores": {}}]}'
    assert Moderation(Endpoint(server.url, "m")).prompts(["a"], POLICY)[0].rule == "moderation-unnamed"
