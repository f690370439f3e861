"""Classifiers behind an OpenAI-compatible endpoint: moderations, for text and pictures, and chat for guard models.

Shapes: N pictures, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kinemark.endpoints import Endpoint, picture_part
from kinemark.errors import FailureError
from kinemark.safety.classifiers.replies import MODERATION, category_of, messages
from kinemark.safety.classifiers.seam import UNNAMED, judged

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from kinemark.safety.classifiers.replies import Family
    from kinemark.safety.decision import Judgement
    from kinemark.safety.policy.file import Policy

_REPLY: Final = 16


@dataclass(frozen=True, slots=True)
class Moderation:
    """OpenAI's moderation endpoint, and those that speak as it does."""

    endpoint: Endpoint

    def prompts(self, texts: Sequence[str], policy: Policy) -> list[Judgement]:
        """Judge texts, all in one call.

        Raises:
            FailureError: no answer, or not one a text.
        """
        results = self._results(list(texts), len(texts))
        return [judged(_worst(result), "moderation", "prompt", policy) for result in results]

    def pictures(self, frames_NHWC: np.ndarray, policy: Policy) -> list[Judgement]:
        """Judge pictures, a call each, as the endpoint wants it.

        Raises:
            FailureError: no answer.
        """
        found = []
        for frame_HWC in frames_NHWC:
            result = self._results([picture_part(frame_HWC)], 1)[0]
            found.append(judged(_worst(result), "moderation", "output", policy))
        return found

    def _results(self, told: list[Any], count: int) -> list[dict[str, Any]]:
        answer = self.endpoint.post("moderations", {"input": told})
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list) or len(results) != count:
            raise FailureError(f"the model at {self.endpoint.url} did not answer each of {count} questions")
        return results


@dataclass(frozen=True, slots=True)
class Chat:
    """A guard model, or a general one that is asked in the policy's words, behind a chat endpoint."""

    endpoint: Endpoint
    family: Family

    def prompts(self, texts: Sequence[str], policy: Policy) -> list[Judgement]:
        """Judge texts, a call each.

        Raises:
            FailureError: no answer, or one that the family does not give.
        """
        return [judged(self._category(text, policy), self.family, "prompt", policy) for text in texts]

    def _category(self, text: str, policy: Policy) -> str | None:
        reply = self.endpoint.reply(messages(self.family, text, policy), _REPLY)
        return category_of(self.family, reply, policy)


def _worst(result: dict[str, Any]) -> str | None:
    """The flagged category with the highest score, as the policy calls it."""
    try:
        flagged = [name for name, is_so in result["categories"].items() if is_so]
        scores = result.get("category_scores", {})
        if not flagged:
            return UNNAMED if result["flagged"] else None
        return MODERATION.get(max(flagged, key=lambda name: float(scores.get(name, 0))), UNNAMED)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FailureError(f"a moderation result is not what the endpoint should give: {error}") from error
