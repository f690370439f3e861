"""The prompt gate: the rule on minors, then the policy's phrases, on every view of a prompt.

It is lexical: it reads words, not meaning. It catches what is asked for plainly or in a thin disguise, in English; a
picture that is unsafe although every word is harmless is caught only where the policy spells it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kinemark.safety.decision import Judgement
from kinemark.safety.policy.phrases import compiled, mark_digests
from kinemark.safety.prompt.minors import judge_minors
from kinemark.safety.prompt.normalise import views

if TYPE_CHECKING:
    from kinemark.safety.policy.file import Matcher, Policy

GATE: Final = "prompt"
#: The rule of a prompt that no rule speaks against.
NO_RULE: Final = "none"


def judge_text(text: str, policy: Policy) -> Judgement:
    """One text under the policy: the strictest rule that it touches, or that it touches none."""
    read = views(text)
    refusal = judge_minors(read)
    if refusal is not None:
        return refusal
    marked = [mark_digests(view, policy.digest_lists) for view in read]
    for matcher in policy.matchers:
        if any(_touches(matcher, view) for view in marked):
            return _judgement(matcher, policy)
    return Judgement(GATE, "prompt", "allow", None, NO_RULE, "No rule of the policy speaks against this prompt.")


def _touches(matcher: Matcher, view: str) -> bool:
    """Whether the rule's phrases stand in the view once what is allowed has been taken out of it."""
    phrases = compiled(matcher.phrases)
    if not phrases.search(view) or compiled(matcher.unless).search(view):
        return False
    return bool(phrases.search(compiled(matcher.allowed).sub("_ ", view)))


def _judgement(matcher: Matcher, policy: Policy) -> Judgement:
    refused = matcher.action == "refuse"
    return Judgement(
        gate=GATE,
        stage="prompt",
        action=matcher.action,
        category=matcher.category.id,
        rule=matcher.rule.id,
        reason=matcher.rule.reason or matcher.category.reason,
        appeal=policy.appeal_for(matcher.category) if refused else "",
    )
