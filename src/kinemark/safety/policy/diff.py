"""What a new policy changes, and in which direction: whatever may let more through is `looser`.

The direction decides what an operator has to do: to tighten is free at any time, to loosen takes a comment period.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from kinemark.safety.decision import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from kinemark.safety.decision import Action
    from kinemark.safety.policy.file import Category, Policy, Rule

Direction = Literal["tighter", "looser", "wording"]
_MORE: Final[tuple[Direction, Direction]] = ("tighter", "looser")
_LESS: Final[tuple[Direction, Direction]] = ("looser", "tighter")


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        direction: "tighter" (more is stopped), "looser" (more may get through) or "wording" (nothing is decided by it).
        place: the category or rule, the vocabulary or the digest list that it is in.
        what: what was added, removed or set.
    """

    direction: Direction
    place: str
    what: str


def changes(old: Policy, new: Policy) -> tuple[Change, ...]:
    """Every difference between two policies, category by category, then vocabularies and digest lists."""
    before, after = ({category.id: category for category in policy.categories} for policy in (old, new))
    return (
        *(Change("looser", name, "category removed") for name in before if name not in after),
        *(Change("tighter", name, "category added") for name in after if name not in before),
        *(change for name in before if name in after for change in _category(before[name], after[name])),
        *_vocabularies(old, new),
        *(
            change
            for name in {**old.digests, **new.digests}
            for change in _lists(f"#{name}", "digest", old.digests.get(name, ()), new.digests.get(name, ()), _MORE)
        ),
        *(
            Change("wording", "policy", f"{field}: {getattr(new, field)}")
            for field in ("version", "date", "appeal")
            if getattr(old, field) != getattr(new, field)
        ),
    )


def loosens(found: Collection[Change]) -> bool:
    """Whether any of the changes may let more through."""
    return any(change.direction == "looser" for change in found)


def _category(old: Category, new: Category) -> Iterator[Change]:
    before, after = ({rule.id: rule for rule in category.rules} for category in (old, new))
    yield from (Change("looser", name, "rule removed") for name in before if name not in after)
    yield from (Change("tighter", name, "rule added") for name in after if name not in before)
    for name in before:
        if name in after:
            yield from _rule(before[name], after[name], old, new)
    if not before or not after:
        yield from _action(new.id, old.action, new.action)
    yield from _lists(new.id, "allowed", old.allowed, new.allowed, _LESS)
    if old.threshold != new.threshold:
        # Without a threshold nothing is stopped by its meaning, as if it had to be more than certain.
        was, is_ = (2.0 if c.threshold is None else c.threshold for c in (old, new))
        yield Change(_MORE[is_ > was], new.id, f"threshold: {old.threshold} -> {new.threshold}")
    for field in ("title", "definition", "reason", "severity", "appeal", "source", "near_misses", "examples"):
        if getattr(old, field) != getattr(new, field):
            yield Change("wording", new.id, field)


def _rule(old: Rule, new: Rule, old_category: Category, new_category: Category) -> Iterator[Change]:
    yield from _action(new.id, old.action or old_category.action, new.action or new_category.action)
    yield from _lists(new.id, "phrase", old.phrases, new.phrases, _MORE)
    yield from _lists(new.id, "unless", old.unless, new.unless, _LESS)
    for field in ("reason", "instead"):
        if getattr(old, field) != getattr(new, field):
            yield Change("wording", new.id, field)


def _action(place: str, old: Action, new: Action) -> Iterator[Change]:
    if old != new:
        stricter = ACTIONS.index(new) > ACTIONS.index(old)
        yield Change("tighter" if stricter else "looser", place, f"action: {old} -> {new}")


def _lists(
    place: str, what: str, old: Collection[str], new: Collection[str], directions: tuple[Direction, Direction]
) -> Iterator[Change]:
    added, removed = directions
    yield from (Change(added, place, f"{what} added: {entry}") for entry in new if entry not in old)
    yield from (Change(removed, place, f"{what} removed: {entry}") for entry in old if entry not in new)


def _vocabularies(old: Policy, new: Policy) -> Iterator[Change]:
    """A vocabulary makes rules tighter where phrases use it, and looser where exceptions do."""
    for name in {**old.vocabularies, **new.vocabularies}:
        before, after = (policy.vocabularies.get(name, ()) for policy in (old, new))
        excepts = any(_excepts(f"<{name}>", policy) for policy in (old, new))
        for change in _lists(f"<{name}>", "phrase", before, after, _MORE):
            yield Change("looser", change.place, change.what) if excepts else change


def _excepts(name: str, policy: Policy) -> bool:
    places = [category.allowed for category in policy.categories]
    places += [rule.unless for category in policy.categories for rule in category.rules]
    # A vocabulary may stand in another one: then nothing is known about where it ends up.
    places += policy.vocabularies.values()
    return any(name in phrase for phrases in places for phrase in phrases)
