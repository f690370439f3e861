"""Whether a request may be made, before anything is computed: its words, the people it names, what it gives.

What comes back is what may be made. The policy may have put a prompt in other words, and a person's handle has become
the description that their record of consent gives.
"""

from __future__ import annotations

import datetime as dt
import io
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import RefusedError
from kinemark.provenance.records.exceptions import standing
from kinemark.provenance.records.opening import find_ledger
from kinemark.provenance.signing.keys import load_keys
from kinemark.safety.classifiers.file import load_classifiers
from kinemark.safety.consent.judge import judge_faces, judge_people
from kinemark.safety.consent.register import Asked, Register, Use, described, handles
from kinemark.safety.content import closed_world, open_world
from kinemark.safety.creators import rules_in_force
from kinemark.safety.decision import Judgement
from kinemark.safety.gates import guarded, require_allowed, require_prompts
from kinemark.safety.prompt.language import judge_language
from kinemark.safety.seal import seal
from kinemark.uploads import frames_of, judge_blocked, judge_credentials, judge_lineage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.safety.classifiers.seam import Classifiers
    from kinemark.safety.consent.record import Verb
    from kinemark.safety.consent.register import Entry
    from kinemark.safety.content import ContentGate
    from kinemark.safety.decision import Decision
    from kinemark.safety.policy.file import Policy
    from kinemark.settings import Settings
    from kinemark.timeline import Timeline

#: Who asks at the command line and from Python, as records of consent name them.
OPERATOR: Final = "operator"
#: Refusals after which what was given is sealed.
_SEALED: Final = frozenset({"minors", "blocklist"})


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may be made.

    Attributes:
        timeline: what may be made.
        judgements: what was judged so far.
        people: the records of those who are in it.
        policy: the policy that judged.
        content: what has to look at what comes out.
    """

    timeline: Timeline
    judgements: tuple[Judgement, ...]
    people: tuple[Entry, ...]
    policy: Policy
    content: ContentGate

    @property
    def texts(self) -> list[str]:
        """The prompts in order."""
        return [span.text for span in self.timeline.prompts]


@dataclass(frozen=True, slots=True)
class Words:
    """What is asked in words, once the prompt gate lets it pass: before a model is even looked for.

    Attributes:
        timeline: what is asked.
        texts: its prompts as they may be made; the policy may have put them in other words.
        judgements: what was judged so far.
        policy: the policy that judged, with the choices of creators.
        classifiers: the operator's.
    """

    timeline: Timeline
    texts: tuple[str, ...]
    judgements: tuple[Judgement, ...]
    policy: Policy
    classifiers: Classifiers


def require_words(timeline: Timeline, settings: Settings) -> Words:
    """Judge the words of a request.

    Args:
        timeline: what is asked.
        settings: where the policy, the register of creators and the file of classifiers lie.

    Raises:
        RefusedError: the prompt gate refuses; what was given is sealed first where the law wants it kept.
        RequestError: the policy in force, or the file of classifiers, cannot be read.
        FailureError: the register of creators is damaged.
    """
    policy, classifiers = rules_in_force(settings), load_classifiers(settings.classifiers_path)
    with _sealing(timeline, settings):
        texts, judgements = require_prompts([span.text for span in timeline.prompts], policy, classifiers.prompts)
        if timeline.negative_prompt:
            # What is left out says what is shown: the two are judged as the one sentence that they are together.
            both = [f"{text}, without {timeline.negative_prompt}" for text in texts]
            judgements += require_prompts(both, policy, classifiers.prompts)[1]
    return Words(timeline, texts, judgements, policy, classifiers)


def admit(words: Words, settings: Settings, *, photoreal: bool) -> Admitted:
    """Judge the rest of a request: people whom it names, what it gives, and whether anybody looks at what comes out.

    Args:
        words: what `require_words` let pass.
        settings: where the registers and the ledger lie.
        photoreal: whether the model's pictures could be taken for recordings.

    Raises:
        RefusedError: a gate refuses; what was given is sealed first where the law wants it kept.
        FailureError: a register or the ledger is damaged.
    """
    timeline, policy, classifiers = words.timeline, words.policy, words.classifiers
    if photoreal:
        _require_looking(policy, classifiers, settings)
    with _sealing(timeline, settings):
        texts, judgements, people = _judge_people(words, settings, photoreal=photoreal)
        judgements += _judge_given(timeline, people, policy, settings)
        require_allowed(judgements, policy)
    spans = tuple(replace(span, text=text) for span, text in zip(timeline.prompts, texts, strict=True))
    given = bool(timeline.knowns)
    content = (
        open_world(policy, people, classifiers, given=given, photoreal=photoreal)
        if given or photoreal
        else closed_world()
    )
    return Admitted(replace(timeline, prompts=spans), judgements, people, policy, content)


def _judge_people(
    words: Words, settings: Settings, *, photoreal: bool
) -> tuple[tuple[str, ...], tuple[Judgement, ...], tuple[Entry, ...]]:
    """The prompts with people described, what was judged, and the records of those whom they name."""
    texts, judgements, policy = words.texts, words.judgements, words.policy
    if photoreal:
        asked_for = [span.text for span in words.timeline.prompts]
        judgements = (*judgements, guarded("language", "prompt", policy, lambda: judge_language(asked_for, policy)))
        require_allowed(judgements, policy)
    if not handles(texts):
        return texts, judgements, ()
    asked = Asked(_verb(words.timeline), OPERATOR, texts, photoreal)
    with Register(settings.consent_dir) as register:
        agreed, people = judge_people(register, asked, now=dt.datetime.now(dt.UTC))
    judgements = (*judgements, agreed)
    require_allowed(judgements, policy)
    # A record's description is a prompt like any other.
    texts, again = require_prompts([described(text, people) for text in texts], policy, words.classifiers.prompts)
    return texts, (*judgements, *again), people


def _judge_given(
    timeline: Timeline, people: tuple[Entry, ...], policy: Policy, settings: Settings
) -> tuple[Judgement, ...]:
    if not timeline.knowns:
        return ()
    frames = [frames_of(known) for known in timeline.knowns]
    return (
        guarded("blocklist", "input", policy, lambda: judge_blocked(timeline.sources, frames, settings)),
        guarded("credentials", "input", policy, lambda: judge_credentials(timeline.sources)),
        *judge_lineage(frames, settings),
        *(
            guarded("consent", "input", policy, partial(judge_faces, frames_THWC, timeline.fps, people))
            for frames_THWC in frames
        ),
    )


@contextmanager
def _sealing(timeline: Timeline, settings: Settings) -> Iterator[None]:
    """Keep what was given with a refused request from everybody, where the refusal is of that kind."""
    try:
        yield
    except RefusedError as refused:
        decided = refused.decision.deciding if refused.decision.judgements else None
        if timeline.knowns and decided and {decided.category, decided.rule} & _SEALED:
            material = io.BytesIO()
            prompts = "\n".join(span.text for span in timeline.prompts)
            np.savez_compressed(material, *map(frames_of, timeline.knowns), prompts=np.array(prompts))
            seal(settings.sealed_dir, material.getvalue(), decided.rule, now=dt.datetime.now(dt.UTC))
        raise


def _require_looking(policy: Policy, classifiers: Classifiers, settings: Settings) -> None:
    """A model that could show anything needs somebody to look, or the operator's signed exception.

    Raises:
        RefusedError: neither is there.
    """
    if classifiers.pictures:
        return
    keys = load_keys(settings.keys_dir)
    if keys is not None and (records := find_ledger(settings)) is not None:
        with records as ledger:
            if standing(ledger, keys, "photoreal-without-classifier"):
                return
    reason = (
        "This model's pictures could be taken for recordings, and no classifier looks at what comes out. Name one in "
        f"{settings.classifiers_path}, or sign that you go without: "
        'kinemark ledger except photoreal-without-classifier "why" --by NAME.'
    )
    require_allowed((Judgement("content", "output", "refuse", None, "no-classifier", reason),), policy)


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
