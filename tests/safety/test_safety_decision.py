"""What a decision is, and what it can never be."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.safety.decision import ACTIONS, REQUIRED_GATES, Decision, Judgement, digest_frames

FRAMES = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)


def judgement(gate="prompt", action="allow", stage="output", **fields) -> Judgement:
    return Judgement(gate, stage, action, fields.pop("category", None), fields.pop("rule", "r"), "because", **fields)


def decision(*judgements: Judgement, digest="f" * 64) -> Decision:
    return Decision("1.0", "d" * 64, digest, judgements)


ALL = tuple(judgement(gate) for gate in REQUIRED_GATES)


def test_allows_when_every_required_gate_allows():
    assert decision(*ALL).allow
    assert decision(*ALL).missing == ()


@pytest.mark.parametrize("gate", REQUIRED_GATES)
def test_an_absent_gate_is_a_failed_gate(gate):
    partial = decision(*(one for one in ALL if one.gate != gate))
    assert not partial.allow
    assert partial.missing == (gate,)


@pytest.mark.parametrize("gate", REQUIRED_GATES)
def test_one_refusal_refuses_whatever_else_was_said(gate):
    assert not decision(*ALL, judgement(gate, "refuse")).allow


@pytest.mark.parametrize("action", ["label", "rewrite"])
def test_label_and_rewrite_let_the_work_go_on(action):
    assert decision(*ALL, judgement("prompt", action)).allow


def test_without_frames_nothing_can_be_released():
    assert not decision(*ALL, digest="").allow


def test_the_strictest_judgement_decides_and_the_first_of_equals():
    mild, strict, later = judgement(action="label"), judgement(action="refuse", rule="a"), judgement(action="refuse")
    assert decision(mild, strict, later).deciding is strict
    assert ACTIONS[-1] == "refuse"


def test_nothing_judged_has_no_verdict():
    with pytest.raises(ValueError, match="nothing has been judged"):
        _ = decision().deciding


def test_a_verdict_has_the_keys_of_the_contract():
    refused = judgement(action="refuse", stage="prompt", category="hate", rule="hate-1", appeal="write to us")
    assert decision(refused).verdict() == {
        "allow": False,
        "action": "refuse",
        "category": "hate",
        "rule": "hate-1",
        "stage": "prompt",
        "reason": "because",
        "policy_version": "1.0",
        "appealable": True,
        "appeal": "write to us",
    }
    assert decision(judgement()).verdict()["appeal"] is None


@pytest.mark.parametrize(("field", "value"), [("action", "maybe"), ("stage", "later")])
def test_a_judgement_is_one_of_the_known_kind(field, value):
    with pytest.raises(ValueError, match=value):
        replace(judgement(), **{field: value})


texts = st.text(max_size=20)
judgements = st.builds(
    Judgement,
    gate=texts,
    stage=st.sampled_from(["prompt", "input", "output"]),
    action=st.sampled_from(ACTIONS),
    category=st.none() | texts,
    rule=texts,
    reason=texts,
    appeal=texts,
)


@settings(max_examples=30, deadline=None)
@given(st.builds(Decision, texts, texts, texts, st.lists(judgements, max_size=4).map(tuple)))
def test_json_and_back_is_the_same_decision(whole):
    assert Decision.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"judgements": []}',
        '{"judgements": [{"gate": "x"}], "policy_version": "1"}',
        '{"judgements": 3}',
    ],
)
def test_what_is_no_decision_is_said_to_be_none(text):
    with pytest.raises(ValueError):
        Decision.from_json(text)


def test_an_unknown_action_does_not_come_in_through_json():
    fields = json.loads(decision(*ALL).to_json())
    fields["judgements"][0]["action"] = "permit"
    with pytest.raises(ValueError, match="permit"):
        Decision.from_json(json.dumps(fields))


def test_the_digest_is_of_shape_type_and_bytes():
    digests = {
        digest_frames(FRAMES),
        digest_frames(FRAMES.reshape(1, 8, 6, 3)),
        digest_frames(FRAMES.reshape(2, 6, 4, 3)),
        digest_frames(FRAMES.view(np.int8)),
        digest_frames(FRAMES ^ 1),
    }
    assert len(digests) == 5


def test_the_digest_does_not_depend_on_how_frames_lie_in_memory():
    assert digest_frames(np.asfortranarray(FRAMES)) == digest_frames(FRAMES)
    assert digest_frames(FRAMES.repeat(2, axis=2)[:, :, ::2]) == digest_frames(FRAMES)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, FRAMES.size - 1), st.integers(1, 255))
def test_one_changed_byte_changes_the_digest(index, change):
    other = FRAMES.copy()
    other.flat[index] ^= change
    assert digest_frames(other) != digest_frames(FRAMES)
