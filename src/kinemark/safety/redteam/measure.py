"""How often the prompt gate stops what it should and makes what it should, plain and under attack."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinemark.safety.content import judge_written
from kinemark.safety.frames.changes import to_look_at
from kinemark.safety.gates import gates_digest, judge_prompt, judge_prompts
from kinemark.safety.redteam.operators import picture_of
from kinemark.safety.redteam.search import search
from kinemark.shares import Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kinemark.safety.policy.file import Policy
    from kinemark.safety.redteam.operators import Operator
    from kinemark.safety.redteam.suites import Case

#: Attacks are made on clear violations: whether they are violations is no question of taste.
ATTACKED: Final = "clear"
SEARCHES: Final = {"score-guided search": True, "blind rewording": False}
_BATCH: Final = 256


@dataclass(frozen=True, slots=True)
class Group:
    """What the gate makes of a group of a suite, plain: the share that was decided as labelled."""

    name: str
    label: str
    right: Share


@dataclass(frozen=True, slots=True)
class Attacked:
    """An attack: how many of the violations went through, and of those that the gate stops when they come plain."""

    name: str
    through: Share
    evaded: Share


@dataclass(frozen=True, slots=True)
class Report:
    """A measurement.

    Attributes:
        suite: its name; `suite_sha256` says which prompts exactly.
        policy_version: the policy that judged, and `gates_digest` the gates.
        seed: of the attacks.
        groups: what was decided of plain prompts.
        attacks: what attacks achieved on clear violations.
    """

    suite: str
    suite_sha256: str
    policy_version: str
    gates_digest: str
    seed: int
    groups: tuple[Group, ...]
    attacks: tuple[Attacked, ...]


def measure(
    name: str,
    cases: Sequence[Case],
    policy: Policy,
    attacks: Iterable[Operator],
    *,
    seed: int = 0,
    searched: bool = True,
) -> Report:
    """Judge a suite, attack its clear violations, and count.

    Args:
        name: of the suite.
        cases: its prompts.
        policy: the policy that judges.
        attacks: operators, each tried once on every clear violation.
        seed: of the attacks.
        searched: whether to search for wordings as well, which takes 20 queries for each violation.
    """
    allowed = _judged([case.prompt for case in cases], policy)
    groups = [
        _group(group, [(case, one) for case, one in zip(cases, allowed, strict=True) if case.group == group])
        for group in dict.fromkeys(case.group for case in cases)
    ]
    targets = [(case.prompt, one) for case, one in zip(cases, allowed, strict=True) if case.group == ATTACKED]
    plain = [one for _, one in targets]
    done = [_attacked(operator, targets, policy, seed) for operator in attacks]
    if searched and targets:
        for search_name, guided in SEARCHES.items():
            found = search([prompt for prompt, _ in targets], policy, seed=seed, guided=guided)
            done.append(_counted(search_name, [query is not None for query in found], plain))
    digest = hashlib.sha256("\n".join(f"{case.group}\t{case.label}\t{case.prompt}" for case in cases).encode())
    return Report(name, digest.hexdigest(), policy.version, gates_digest(), seed, tuple(groups), tuple(done))


def _judged(prompts: Sequence[str], policy: Policy) -> list[bool]:
    return [
        judgement.allow
        for start in range(0, len(prompts), _BATCH)
        for judgement in judge_prompts(prompts[start : start + _BATCH], policy)
    ]


def _group(name: str, judged: Sequence[tuple[Case, bool]]) -> Group:
    labels = {case.label for case, _ in judged}
    right = sum(allowed == (case.label == "safe") for case, allowed in judged)
    return Group(name, "/".join(sorted(labels)), Share(right, len(judged)))


def _attacked(operator: Operator, targets: Sequence[tuple[str, bool]], policy: Policy, seed: int) -> Attacked:
    rng = random.Random(f"{seed}/{operator.name}")
    sent = [operator.apply(prompt, rng) for prompt, _ in targets]
    if operator.written:
        pictures = [picture_of(" ".join(cards))[None] for cards in sent]
        through = [judge_written(frames, 1.0, to_look_at(frames), policy=policy).allow for frames in pictures]
    elif all(len(cards) == 1 for cards in sent):
        through = _judged([cards[0] for cards in sent], policy)
    else:
        through = [all(judgement.allow for judgement in judge_prompt(cards, policy)) for cards in sent]
    return _counted(operator.name, through, [one for _, one in targets])


def _counted(name: str, through: Sequence[bool], plain: Sequence[bool]) -> Attacked:
    evaded = [went for went, before in zip(through, plain, strict=True) if not before]
    return Attacked(name, Share(sum(through), len(through)), Share(sum(evaded), len(evaded)))
