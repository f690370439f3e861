"""Whether a request may be made, before anything is computed: its words, the people it names, the frames it gives.

What comes back is what may be made. The policy may have put a prompt in other words, and a person's handle has become
the description that their record of consent gives.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.safety.consent.judge import judge_faces, judge_people
from kinemark.safety.consent.register import Asked, Register, Use, described, handles
from kinemark.safety.gates import guarded, require_allowed, require_prompts
from kinemark.safety.policy.store import policy_in_force

if TYPE_CHECKING:
    from kinemark.safety.consent.record import Verb
    from kinemark.safety.consent.register import Entry
    from kinemark.safety.decision import Decision, Judgement
    from kinemark.safety.policy.file import Policy
    from kinemark.settings import Settings
    from kinemark.timeline import Known, Timeline

#: Who asks at the command line and from Python, as records of consent name them.
OPERATOR: Final = "operator"


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may be made.

    Attributes:
        timeline: what may be made.
        judgements: what was judged so far.
        people: the records of those who are in it.
        policy: the policy that judged.
    """

    timeline: Timeline
    judgements: tuple[Judgement, ...]
    people: tuple[Entry, ...]
    policy: Policy

    @property
    def texts(self) -> list[str]:
        """The prompts in order."""
        return [span.text for span in self.timeline.prompts]


def admit(timeline: Timeline, settings: Settings, *, photoreal: bool) -> Admitted:
    """Judge a request.

    Args:
        timeline: what is asked.
        settings: where the policy and the register of consent lie.
        photoreal: whether the model's pictures could be taken for recordings.

    Raises:
        RefusedError: a gate refuses.
        RequestError: the policy in force cannot be read.
    """
    policy = policy_in_force(settings)
    texts, judgements = require_prompts([span.text for span in timeline.prompts], policy)
    people: tuple[Entry, ...] = ()
    if handles(texts):
        asked = Asked(_verb(timeline), OPERATOR, texts, photoreal)
        with Register(settings.consent_dir) as register:
            agreed, people = judge_people(register, asked, now=dt.datetime.now(dt.UTC))
        judgements = (*judgements, agreed)
        require_allowed(judgements, policy)
        # A record's description is a prompt like any other.
        texts, again = require_prompts([described(text, people) for text in texts], policy)
        judgements = (*judgements, *again)
    for known in timeline.knowns:
        judgements = (*judgements, _judge_given(known, timeline.fps, people, policy))
    require_allowed(judgements, policy)
    spans = tuple(replace(span, text=text) for span, text in zip(timeline.prompts, texts, strict=True))
    return Admitted(replace(timeline, prompts=spans), judgements, people, policy)


def enter_uses(admitted: Admitted, decision: Decision, model: str, settings: Settings) -> None:
    """Tell those who are in a clip that it was made: by its digest, and not by what was asked."""
    if not admitted.people:
        return
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    use = Use(now, _verb(admitted.timeline), model, decision.frames_digest)
    with Register(settings.consent_dir) as register:
        for entry in admitted.people:
            register.record_use(entry.consent.handle, use)


def _verb(timeline: Timeline) -> Verb:
    return "edit" if timeline.knowns else "generate"


def _judge_given(known: Known, fps: int, people: tuple[Entry, ...], policy: Policy) -> Judgement:
    bytes_TCHW = (known.video_TCHW * 255).round().clamp(0, 255).byte().numpy()
    frames_THWC = np.ascontiguousarray(bytes_TCHW.transpose(0, 2, 3, 1))
    return guarded("consent", "input", policy, lambda: judge_faces(frames_THWC, fps, people))
