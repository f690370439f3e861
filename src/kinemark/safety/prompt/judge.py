"""The prompt gate: the rule on minors, the policy's phrases, and what a prompt means, on every view of a prompt.

Phrases catch what is asked for plainly or in a thin disguise; the reader (`meaning`) what is asked for in other words,
above all a picture that is unsafe although every word is harmless. The strictest answer decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kinemark.safety.decision import ACTIONS, Action, Judgement
from kinemark.safety.policy.phrases import compiled, mark_digests
from kinemark.safety.prompt.meaning import load_reader
from kinemark.safety.prompt.minors import judge_minors
from kinemark.safety.prompt.normalise import sentences, views

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from kinemark.safety.policy.file import Category, Matcher, Policy
    from kinemark.safety.prompt.meaning import PromptReader

GATE: Final = "prompt"
#: The rule of a prompt that no rule speaks against.
NO_RULE: Final = "none"


def judge_text(text: str, policy: Policy) -> Judgement:
    """One text under the policy: the strictest rule that it touches, or that it touches none."""
    return judge_texts([text], policy)[0]


def judge_texts(texts: Sequence[str], policy: Policy) -> list[Judgement]:
    """Each text under the policy. Many at once are read faster than one by one.

    Raises:
        FailureError: the reader's weights are missing or damaged.
    """
    read = [views(text) for text in texts]
    found = [judge_minors(of_text) or _judge_phrases(of_text, policy) for of_text in read]
    # A prompt that is refused already need not be understood.
    open_ = [index for index, judgement in enumerate(found) if judgement.allow]
    # The first view is the text without its punctuation, of which the reader makes use.
    lines = [(*sentences(texts[index]), *read[index][1:]) for index in open_]
    for index, meant in zip(open_, _judge_meanings(lines, policy), strict=True):
        found[index] = max(found[index], meant, key=lambda judgement: ACTIONS.index(judgement.action))
    return found


def _judge_phrases(read: Sequence[str], policy: Policy) -> Judgement:
    marked = [mark_digests(view, policy.digest_lists) for view in read]
    for matcher in policy.matchers:
        if any(touches(matcher, view) for view in marked):
            return _judgement(matcher.category, matcher.rule.id, matcher.rule.reason, policy, matcher.action)
    return _nothing()


def touches(matcher: Matcher, view: str) -> bool:
    """Whether the rule's phrases stand in the view once what is allowed has been taken out of it."""
    phrases = compiled(matcher.phrases)
    if not phrases.search(view) or compiled(matcher.unless).search(view):
        return False
    return bool(phrases.search(compiled(matcher.allowed).sub("_ ", view)))


def _judge_meanings(read: Sequence[Sequence[str]], policy: Policy) -> list[Judgement]:
    """What the reader says of each text: the view that it is surest of decides."""
    categories = {category.id: category for category in policy.categories if category.threshold is not None}
    if not read or not categories:
        return [_nothing() for _ in read]
    reader = load_reader()
    probability = iter(reader.read([line for of_text in read for line in of_text]))
    judged = []
    for of_text in read:
        category = _asked_for([next(probability) for _ in of_text], reader, categories)
        if category and _allows(category, policy, of_text):
            spared = [policy.without_allowed(category, line) for line in of_text]
            category = _asked_for(list(reader.read(spared)), reader, categories)
        judged.append(_meant(category, policy) if category else _nothing())
    return judged


def _asked_for(
    rows: Sequence[NDArray[np.float32]], reader: PromptReader, categories: Mapping[str, Category]
) -> Category | None:
    """The category that a text falls under by its surest view; None if the reader is not sure enough."""
    row = max(rows, key=lambda of_line: float(of_line[-1]))
    category = categories.get(reader.categories[int(row[:-1].argmax())])
    return category if category and float(row[-1]) >= (category.threshold or 0) else None


def _allows(category: Category, policy: Policy, lines: Sequence[str]) -> bool:
    return any(policy.without_allowed(category, line) != line for line in lines)


def _meant(category: Category, policy: Policy) -> Judgement:
    # A meaning has no words that others could stand for.
    action = "refuse" if category.action == "rewrite" else category.action
    return _judgement(category, f"{category.id}-meaning", None, policy, action)


def _nothing() -> Judgement:
    return Judgement(GATE, "prompt", "allow", None, NO_RULE, "No rule of the policy speaks against this prompt.")


def _judgement(category: Category, rule: str, reason: str | None, policy: Policy, action: Action) -> Judgement:
    return Judgement(
        gate=GATE,
        stage="prompt",
        action=action,
        category=category.id,
        rule=rule,
        reason=reason or category.reason,
        appeal=policy.appeal_for(category) if action == "refuse" else "",
    )
