"""Saying a prompt in other words where the policy asks for it.

A brand becomes a thing without one, a living artist's style one of its own. The person is told, and the new words are
judged like any others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kinemark.safety.policy.phrases import compiled, mark_digests
from kinemark.safety.prompt.judge import touches
from kinemark.safety.prompt.normalise import views

if TYPE_CHECKING:
    from kinemark.safety.policy.file import Policy


def rewritten(text: str, policy: Policy) -> str:
    """The text with what `rewrite` rules find replaced by their `instead`; as it was where they find nothing.

    A rewritten prompt comes without its commas: rules are written for words.
    """
    line = first = mark_digests(views(text)[0], policy.digest_lists)
    for matcher in policy.matchers:
        if matcher.action == "rewrite" and touches(matcher, line):
            line = _with_article(compiled(matcher.phrases).sub(f"{matcher.rule.instead} ", line), matcher.rule.instead)
    return text if line == first else line.strip().replace(" .", ".")


def _with_article(line: str, phrase: str | None) -> str:
    """`an iphone` has become `an phone`: the article that fits what follows it now."""
    article = "an" if (phrase or "")[:1].lower() in "aeiou" else "a"
    return re.sub(rf" an? (?={re.escape(phrase or '')} )", f" {article} ", line, flags=re.IGNORECASE)
