"""The content gate finds what is planted in a single slot, and says for what nobody looks."""

import cv2
import numpy as np
import pytest

from drawn_face import drawn_face
from drawn_symbol import with_cross
from kinemark.errors import FailureError
from kinemark.safety.classifiers.seam import Classifiers, PictureJudge, judged
from kinemark.safety.content import closed_world, open_world
from kinemark.safety.decision import Decision
from kinemark.safety.gates import judge_output, judge_prompt
from kinemark.safety.policy.file import load_policy

POLICY = load_policy()
NONE = Classifiers()
FPS = 16
SLOTS = 6


def clip(size: int = 256) -> np.ndarray:
    """A slot of one frame and five of four, of a scene that stands still."""
    y, x = np.mgrid[0:size, 0:size]
    still = np.stack([90 + x // 4, 120 + y // 4, 140 + (x + y) // 8], axis=-1).astype(np.uint8)
    return np.stack([still] * (1 + 4 * (SLOTS - 1)))


def planted(picture: np.ndarray, slot: int) -> np.ndarray:
    frames = clip()
    frames[1 + 4 * (slot - 1) : 1 + 4 * slot] = picture
    return frames


def written(*lines: str) -> np.ndarray:
    picture = clip()[0]
    for number, line in enumerate(lines, 1):
        cv2.putText(picture, line, (8, 70 * number), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2, cv2.LINE_AA)
    return picture


def decide(frames: np.ndarray, classifiers: Classifiers = NONE, *, given: bool = True) -> Decision:
    content = open_world(POLICY, (), classifiers, given=given, photoreal=not given)
    return judge_output(frames, FPS, judge_prompt("a red boat", POLICY), POLICY, content=content)


def test_given_frames_without_harm_are_labelled_and_allowed():
    decision = decide(clip())
    assert decision.allow
    assert decision.labels == ((None, "given-frames"),)


def test_what_a_photoreal_model_makes_is_labelled():
    assert decide(clip(), given=False).labels == ((None, "open-world"),)


@pytest.mark.parametrize("slot", [1, 3, 5])
def test_text_in_one_slot_is_judged_like_a_prompt(slot):
    refused = decide(planted(written("behead the", "prisoner"), slot)).deciding
    assert (refused.action, refused.category, refused.stage) == ("refuse", "violence", "output")
    assert f"{(1 + 4 * (slot - 1)) / FPS:.1f} s" in refused.reason
    assert refused.appeal


def test_harmless_text_stays():
    assert decide(planted(written("fresh bread", "every day"), 3)).allow


@pytest.mark.parametrize("slot", [1, 3, 5])
def test_a_symbol_in_one_slot_is_refused(slot):
    refused = decide(planted(with_cross(clip()[0], turn=45), slot)).deciding
    assert (refused.action, refused.category, refused.rule) == ("refuse", "hate", "content-symbol")


def test_a_symbol_in_one_frame_is_refused():
    frames = clip()
    frames[10] = with_cross(frames[10], turn=45)
    assert decide(frames).deciding.rule == "content-symbol"


def test_an_upright_cross_is_labelled():
    decision = decide(planted(with_cross(clip()[0], turn=0), 2))
    assert decision.allow
    assert ("hate", "content-symbol") in decision.labels


@pytest.mark.parametrize("slot", [1, 3, 5])
def test_a_face_in_one_slot_is_refused(slot):
    refused = decide(planted(drawn_face(), slot)).deciding
    assert (refused.action, refused.category, refused.stage) == ("refuse", "likeness", "output")


def test_a_classifier_sees_every_frame_that_is_new():
    seen: list[int] = []

    def judge(frames_NHWC, policy):
        seen.append(len(frames_NHWC))
        return [judged("sexual" if frame.mean() > 250 else None, "test", "output", policy) for frame in frames_NHWC]

    classifiers = Classifiers(pictures=(PictureJudge(frozenset({"sexual"}), judge),))
    frames = clip()
    assert decide(frames, classifiers).allow
    frames[7] = 255
    decision = decide(frames, classifiers)
    refused = next(one for one in decision.judgements if one.rule == "sexual-test")
    assert (refused.action, refused.reason[:8]) == ("refuse", "At 0.4 s")
    assert "sexual" not in decision.unseen
    # A white frame is no picture either, so that all are looked at; the others only where they are new.
    assert seen == [1, len(frames)]


def test_a_classifier_that_fails_refuses():
    def judge(frames_NHWC, policy):
        raise FailureError("no answer")

    decision = decide(clip(), Classifiers(pictures=(PictureJudge(frozenset(), judge),)))
    assert decision.deciding.rule == "gate-failed"


def test_what_nobody_looks_for_is_named_and_kept():
    decision = decide(clip())
    assert {"sexual", "violence", "self-harm", "animal-cruelty"} <= set(decision.unseen)
    assert "photosensitive" not in decision.unseen
    assert Decision.from_json(decision.to_json()) == decision
    assert closed_world().unseen == ()
