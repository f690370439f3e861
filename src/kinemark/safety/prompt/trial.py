"""A policy tried on the prompts that it holds itself: its examples must be stopped, its near misses must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinemark.safety.prompt.judge import judge_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.safety.policy.file import Policy


@dataclass(frozen=True, slots=True)
class Failure:
    """A prompt of a policy that the policy itself judges otherwise.

    Attributes:
        category: where the prompt stands.
        prompt: the prompt; empty where a rule has none.
        problem: what is wrong.
    """

    category: str
    prompt: str
    problem: str


def failures(policy: Policy) -> tuple[Failure, ...]:
    """Everything that a policy gets wrong by its own account."""
    return tuple(_failures(policy))


def _failures(policy: Policy) -> Iterator[Failure]:
    for category in policy.categories:
        for prompt in category.examples:
            judged = judge_text(prompt, policy)
            if judged.action == "allow":
                yield Failure(category.id, prompt, "an example of what is stopped is allowed")
        for prompt in category.near_misses:
            judged = judge_text(prompt, policy)
            if not judged.allow:
                yield Failure(category.id, prompt, f"a near miss is refused by rule {judged.rule}")
        if category.rules and not (category.examples and category.near_misses):
            yield Failure(category.id, "", "has rules, and no examples or no near misses to try them on")
