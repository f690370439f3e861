"""The gates together: what allows, what refuses, and that whatever breaks refuses."""

import numpy as np
import pytest

from kinemark.errors import RefusedError
from kinemark.safety.content import ContentGate, closed_world
from kinemark.safety.decision import REQUIRED_GATES, Decision, digest_frames
from kinemark.safety.gates import judge_output, judge_prompt, refusal, require_allowed
from kinemark.safety.policy.file import load_policy

POLICY = load_policy()
BAD = "a beheaded soldier"
CLOSED = closed_world()


@pytest.fixture
def frames() -> np.ndarray:
    y, x = np.mgrid[0:64, 0:96]
    still = np.stack([2 * x, 3 * y, x + y], axis=-1).astype(np.uint8)
    return np.stack([np.roll(still, 2 * i, axis=1) for i in range(9)])


def decide(frames, prompt="a red boat", content=CLOSED, fps=8) -> Decision:
    return judge_output(frames, fps, judge_prompt(prompt, POLICY), POLICY, content=content)


def test_a_clip_that_every_gate_allows_is_allowed(frames):
    decision = decide(frames)
    assert decision.allow
    assert decision.frames_digest == digest_frames(frames)
    assert (decision.policy_version, decision.policy_digest) == (POLICY.version, POLICY.digest)
    assert {judgement.gate for judgement in decision.judgements} == set(REQUIRED_GATES)


def test_the_closed_world_is_recorded_as_the_rule_it_is(frames):
    content = next(judgement for judgement in decide(frames).judgements if judgement.gate == "content")
    assert content.rule == "closed-world"
    assert content.stage == "output"


def test_a_refused_prompt_is_never_released_whatever_the_frames(frames):
    assert not decide(frames, BAD).allow


def test_without_a_judged_prompt_nothing_is_released(frames):
    decision = judge_output(frames, 8, (), POLICY, content=closed_world())
    assert not decision.allow
    assert decision.missing == ("prompt",)
    assert "prompt" in str(refusal(decision))


def test_a_flash_or_a_broken_frame_is_not_released(frames):
    flashing = frames.repeat(3, axis=0)
    flashing[::2] = 255 - flashing[::2] // 8
    flashing[1::2] //= 8
    refused = decide(flashing, fps=24).deciding
    assert refused.gate == "flash"
    assert refused.appeal == POLICY.appeal
    frames[4] = 0
    assert decide(frames).deciding.gate == "decode"


def test_a_gate_that_breaks_refuses_and_says_so(frames):
    def broken(frames_THWC, fps, new):
        raise RuntimeError("secret detail of the machine")

    decision = decide(frames, content=ContentGate({"content": broken}))
    assert not decision.allow
    assert decision.deciding.rule == "gate-failed"
    assert "content gate failed (RuntimeError)" in decision.deciding.reason
    assert "secret" not in decision.deciding.reason
    assert decision.deciding.appeal


def test_frames_that_break_a_gate_are_refused():
    odd = np.zeros((4, 4), dtype=np.float64)
    assert not decide(odd).allow


@pytest.mark.parametrize("fps", [0, float("nan")])
def test_a_rate_that_is_none_refuses(frames, fps):
    assert decide(frames, fps=fps).deciding.gate == "flash"


def test_a_broken_policy_object_refuses_a_prompt():
    class Broken:
        version, digest, appeal = "1", "2", "write"

    (judgement,) = judge_prompt("a red boat", Broken())
    assert not judgement.allow
    assert judgement.rule == "gate-failed"


def test_one_prompt_has_one_judgement_and_a_storyboard_one_more_than_its_cards():
    assert len(judge_prompt("a red boat", POLICY)) == 1
    assert len(judge_prompt(["a red boat"], POLICY)) == 1
    assert len(judge_prompt(["a red boat", "a blue bird"], POLICY)) == 3


def test_harm_that_is_split_over_a_storyboard_is_found():
    cards = ["a soldier is", "beheaded"]
    assert judge_prompt(cards[0], POLICY)[0].allow
    split = ["a man asleep in", "a pool of red paint"]
    assert all(judge_prompt(card, POLICY)[0].allow for card in split)
    assert not judge_prompt(split, POLICY)[0].allow


def test_require_allowed_lets_pass_and_stops():
    require_allowed(judge_prompt("a red boat", POLICY), POLICY)
    with pytest.raises(RefusedError) as caught:
        require_allowed(judge_prompt(BAD, POLICY), POLICY)
    assert caught.value.exit_code == 3
    verdict = caught.value.decision.verdict()
    assert (verdict["allow"], verdict["category"], verdict["stage"]) == (False, "violence", "prompt")
    for part in (verdict["rule"], "prompt stage", verdict["reason"], verdict["appeal"]):
        assert part in str(caught.value)


def test_nothing_judged_is_a_refusal():
    with pytest.raises(RefusedError, match="absent gate"):
        require_allowed((), POLICY)
