"""Which language a prompt is in, and whether the gate was ever measured in it.

py3langid (BSD-3-Clause) tells languages apart by pieces of words. A prompt of a few words can be in many; it counts as
in a measured one where English explains its words, or where that is more likely than not.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from kinemark.safety.decision import Judgement
from kinemark.safety.prompt.english import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.safety.policy.file import Policy

#: Languages in which hate and violence were measured (docs/safety/redteam/LANGUAGES.md).
MEASURED: Final = frozenset({"en", "de", "es", "fr", "it", "pt"})
#: How likely it has to be that a text is in one of them, where English does not explain its words.
_LIKELY: Final = 0.5
_ENGLISH: Final = 0.5
_LETTERS: Final = 10


def is_measured(text: str) -> bool:
    """Whether a text is in a measured language, as far as can be told; a few Latin letters always count as that."""
    if readable(text) >= _ENGLISH or (text.isascii() and sum(map(str.isalpha, text)) < _LETTERS):
        return True
    return sum(float(share) for code, share in _identifier().rank(text) if code in MEASURED) >= _LIKELY


def judge_language(texts: Sequence[str], policy: Policy) -> Judgement:
    """Whether a model whose pictures could be taken for recordings may be asked in these languages."""
    if all(map(is_measured, texts)):
        return Judgement("language", "prompt", "allow", None, "language", "The gates were measured in this language.")
    reason = (
        "The prompt is in a language in which the gates were never measured, so no photoreal video is made of it. "
        f"Measured are: {', '.join(sorted(MEASURED))}."
    )
    return Judgement("language", "prompt", "refuse", None, "language-unmeasured", reason, policy.appeal)


@cache
def _identifier() -> Any:  # noqa: ANN401  (py3langid has no types)
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
