"""What a classifier of others has to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinemark.safety.decision import Judgement, Stage

if TYPE_CHECKING:
    import numpy as np

    from kinemark.safety.policy.file import Policy

#: Where a classifier says that something is unsafe and names nothing that the policy knows.
UNNAMED: Final = "unnamed"

PromptJudge = Callable[[Sequence[str], "Policy"], list[Judgement]]
"""Judges texts, each by itself. Whatever it raises refuses."""


@dataclass(frozen=True, slots=True)
class PictureJudge:
    """A classifier of pictures.

    Attributes:
        sees: the categories of the policy that it looks for.
        judge: judges pictures [N, H, W, C] (uint8 RGB), each by itself. Whatever it raises refuses.
    """

    sees: frozenset[str]
    judge: Callable[[np.ndarray, Policy], list[Judgement]]


@dataclass(frozen=True, slots=True)
class Classifiers:
    """What the operator added to the gates that ship."""

    prompts: tuple[PromptJudge, ...] = ()
    pictures: tuple[PictureJudge, ...] = ()


def judged(found: str | None, name: str, stage: Stage, policy: Policy) -> Judgement:
    """The judgement of a classifier that found a category of the policy, `UNNAMED`, or nothing.

    Args:
        found: the category.
        name: of the classifier; becomes the rule's name.
        stage: "prompt", or "output" for pictures.
        policy: says what is done about a category, and who is asked for another answer.
    """
    gate = "prompt" if stage == "prompt" else "content"
    if found is None:
        return Judgement(gate, stage, "allow", None, name, f"The classifier {name} found nothing.")
    category = next((one for one in policy.categories if one.id == found), None)
    if category is None:
        reason = f"The classifier {name} says that this is unsafe."
        return Judgement(gate, stage, "refuse", None, f"{name}-{UNNAMED}", reason, policy.appeal)
    # A meaning and a picture have no words that others could stand for.
    action = "refuse" if category.action == "rewrite" else category.action
    appeal = policy.appeal_for(category) if action == "refuse" else ""
    return Judgement(gate, stage, action, category.id, f"{category.id}-{name}", category.reason, appeal)
