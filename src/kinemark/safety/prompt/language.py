"""Whether a prompt is in a language in which the gates can be relied on.

py3langid (BSD-3-Clause) tells languages apart by pieces of words. A prompt of a few words can be in many; it counts as
in a relied-on one where English explains its words, or where that is more likely than not. In five other languages hate
and violence were measured (docs/safety/redteam/LANGUAGES.md), and too much goes through; every other was never tested.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from kinemark.safety.decision import Judgement
from kinemark.safety.prompt.english import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.safety.policy.file import Policy

#: Languages in which the gates are measured and good enough.
RELIED_ON: Final = frozenset({"en"})
#: How likely it has to be that a text is in one of them, where English does not explain its words.
_LIKELY: Final = 0.5
_ENGLISH: Final = 0.5
_SURE: Final = 0.95
_LETTERS: Final = 10


def is_relied_on(text: str) -> bool:
    """Whether a text is in a relied-on language, as far as can be told; a few Latin letters always count as that."""
    if text.isascii() and sum(map(str.isalpha, text)) < _LETTERS:
        return True
    shares = {str(code): float(share) for code, share in _identifier().rank(text)}
    likely = sum(shares.get(code, 0.0) for code in RELIED_ON)
    if readable(text) >= _ENGLISH:
        # Other languages have words in common with English; only where one of them is sure does that count for nothing.
        return max(shares.values()) < _SURE or likely >= _SURE
    return likely >= _LIKELY


def judge_language(texts: Sequence[str], policy: Policy) -> Judgement:
    """Whether a model whose pictures could be taken for recordings may be asked in these languages."""
    if all(map(is_relied_on, texts)):
        return Judgement(
            "language", "prompt", "allow", None, "language", "The gates can be relied on in this language."
        )
    reason = (
        "The prompt is in a language in which the gates cannot be relied on, so no photoreal video is made of it. "
        f"They can in: {', '.join(sorted(RELIED_ON))}."
    )
    return Judgement("language", "prompt", "refuse", None, "language-not-relied-on", reason, policy.appeal)


@cache
def _identifier() -> Any:  # noqa: ANN401  (py3langid has no types)
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
