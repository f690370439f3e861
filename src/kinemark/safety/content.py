"""What looks at the content of frames: the gate that a release calls "content".

A model of a closed world needs nobody to look. Where frames were given, or where a model could show anything, every
frame that differs from the last is read for text and searched for symbols and faces, and the operator's classifiers
(`safety.classifiers`) look for the rest. What nobody looks for is named in the Decision.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from kinemark.safety.consent.judge import judge_faces
from kinemark.safety.decision import ACTIONS, Judgement
from kinemark.safety.frames.symbols import hooked_crosses
from kinemark.safety.frames.text import text_in
from kinemark.safety.prompt.judge import judge_texts

if TYPE_CHECKING:
    import numpy as np

    from kinemark.safety.classifiers.seam import Classifiers
    from kinemark.safety.consent.register import Entry
    from kinemark.safety.policy.file import Policy

GATE: Final = "content"

Look = Callable[["np.ndarray", float, Sequence[int]], Judgement]
"""Looks at frames_THWC, given their frames a second and which of them are new (`changes.to_look_at`)."""

#: Categories that the gates which always run look for.
_ALWAYS_SEEN: Final = frozenset({"photosensitive"})


@dataclass(frozen=True, slots=True)
class ContentGate:
    """What looks at the frames of a clip.

    Attributes:
        looks: by a name that a failure is told by.
        unseen: categories of the policy for which nobody looks.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()


def closed_world() -> ContentGate:
    """The gate of a model that was trained on drawn shapes only and can show nothing else.

    It looks at nothing: the rule is about the model. No person, place, mark or work exists in its world, so likeness,
    nudity, gore and false records cannot come out of it.
    """
    reason = "The model draws the shapes of a closed world: no real person, place, brand or event can appear."
    allowed = Judgement(GATE, "output", "allow", None, "closed-world", reason)
    return ContentGate({"content": lambda _frames, _fps, _new: allowed})


def open_world(
    policy: Policy, people: tuple[Entry, ...], classifiers: Classifiers, *, given: bool, photoreal: bool
) -> ContentGate:
    """The gate of frames that could show anything.

    Args:
        policy: what is judged by.
        people: the records of consent of those whom the prompt names.
        classifiers: the operator's.
        given: whether some frames were given and not made: the clip then has to say so.
        photoreal: whether the model's pictures could be taken for recordings.
    """
    looks: dict[str, Look] = {"content": partial(_origin, given=given, photoreal=photoreal)}
    looks["text"] = partial(judge_written, policy=policy)
    looks["symbols"] = partial(_symbols, policy=policy)
    looks["faces"] = lambda frames_THWC, fps, _new: judge_faces(frames_THWC, fps, people, stage="output")
    for number, picture in enumerate(classifiers.pictures):
        looks[f"classifier-{number}"] = partial(_classified, judge=picture.judge, policy=policy)
    seen = _ALWAYS_SEEN.union(*(picture.sees for picture in classifiers.pictures))
    return ContentGate(looks, tuple(category.id for category in policy.categories if category.id not in seen))


def _origin(_frames_THWC: np.ndarray, _fps: float, _new: Sequence[int], *, given: bool, photoreal: bool) -> Judgement:
    """What the clip has to say of itself."""
    if given:
        reason = "Some frames were given and not made by the model."
        return Judgement(GATE, "output", "label", None, "given-frames", reason)
    what = "the model's pictures could be taken for recordings" if photoreal else "the model can show anything"
    return Judgement(GATE, "output", "label", None, "open-world", f"To be labelled as made: {what}.")


def judge_written(frames_THWC: np.ndarray, fps: float, new: Sequence[int], *, policy: Policy) -> Judgement:
    """What is written in frames is judged as a prompt that says the same; only what would be refused is refused."""
    read: dict[str, int] = {}
    for frame in new:
        lines = text_in(frames_THWC[frame])
        for text in (*lines, " ".join(lines)):
            read.setdefault(text, frame)
    texts = [text for text in read if text]
    worst = _strictest(judge_texts(texts, policy))
    if worst is None or worst[1].allow:
        return Judgement(GATE, "output", "allow", None, "content-text", "No text was read that the policy refuses.")
    index, judged = worst
    reason = f"Text in the picture at {read[texts[index]] / fps:.1f} s is refused: {judged.reason}"
    return Judgement(GATE, "output", "refuse", judged.category, judged.rule, reason, judged.appeal)


def _symbols(frames_THWC: np.ndarray, fps: float, new: Sequence[int], *, policy: Policy) -> Judgement:
    upright = None
    for frame in new:
        for symbol in hooked_crosses(frames_THWC[frame]):
            if symbol.tilted:
                reason = f"A symbol of hate, a tilted hooked cross, is seen at {frame / fps:.1f} s."
                appeal = policy.appeal_for(policy.category("hate"))
                return Judgement(GATE, "output", "refuse", "hate", "content-symbol", reason, appeal)
            upright = frame if upright is None else upright
    if upright is not None:
        reason = f"A hooked cross stands upright at {upright / fps:.1f} s, as on temples; viewers may need to be told."
        return Judgement(GATE, "output", "label", "hate", "content-symbol", reason)
    return Judgement(GATE, "output", "allow", None, "content-symbol", "No hooked cross was found.")


def _classified(
    frames_THWC: np.ndarray,
    fps: float,
    new: Sequence[int],
    *,
    judge: Callable[[np.ndarray, Policy], list[Judgement]],
    policy: Policy,
) -> Judgement:
    worst = _strictest(judge(frames_THWC[list(new)], policy)) if new else None
    if worst is None:
        return Judgement(GATE, "output", "allow", None, "content-classified", "Nothing new was seen.")
    index, judged = worst
    if judged.allow:
        return judged
    reason = f"At {new[index] / fps:.1f} s: {judged.reason}"
    return Judgement(GATE, "output", "refuse", judged.category, judged.rule, reason, judged.appeal)


def _strictest(judged: list[Judgement]) -> tuple[int, Judgement] | None:
    """The strictest judgement and which it is, the first of equals."""
    return max(enumerate(judged), key=lambda one: ACTIONS.index(one[1].action), default=None)
