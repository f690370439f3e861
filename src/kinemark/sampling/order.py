"""In which order the slots of a clip are made, and which given slots each of them sees.

Given slots cut a clip into gaps. A gap is made forwards from what is given before it; where only something later is
given, backwards from that, so that every slot is made beside one that is there already. What is given is shown to the
model when it is near: all that went before, and the next few slots that are to be arrived at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring slots that are handled together.

    Attributes:
        slots: in the order of time.
        given: whether they are given, and not made.
        seen: whether any slot that is made later looks at them.
    """

    slots: tuple[int, ...]
    given: bool
    seen: bool = True


def in_order(
    times: Sequence[float], given: Sequence[bool], size: int, *, horizon: float, ahead: int, sinks: int
) -> tuple[Run, ...]:
    """The runs of a clip, in the order in which they are made or shown.

    Args:
        times: of each slot; slots may come in any order.
        given: which slots are given.
        size: slots of a run at the most.
        horizon: how far away a slot may be to be seen.
        ahead: given slots beyond a run that are shown before it is made.
        sinks: so many of the slots that come first are seen from everywhere.
    """
    everything = [slot for slot in _by_time(times) if given[slot]]
    first_given = times[everything[0]] if everything else None
    waiting = list(everything)
    runs: list[Run] = []
    for gap in _gaps(times, given):
        backwards = first_given is not None and times[gap[0]] < first_given
        pieces = _pieces(gap[::-1], size) if backwards else _pieces(gap, size)
        for piece in pieces:
            due = _due(piece, everything, times, horizon, None if backwards else ahead)
            shown = [slot for slot in due if slot in waiting]
            waiting = [slot for slot in waiting if slot not in shown]
            runs += [Run(tuple(sorted(part)), given=True) for part in _pieces(shown, size)]
            runs.append(Run(tuple(sorted(piece)), given=False))
    runs += [Run(part, given=True) for part in _pieces(waiting, size)]
    return _marked(runs, times, horizon, sinks)


def ranks(times: Sequence[float], given: Sequence[bool], size: int) -> list[int]:
    """For every slot, the number of its run where all that is given comes first, whether it is near or not."""
    in_time = _by_time(times)
    parts = [
        part for kind in (True, False) for part in _pieces([slot for slot in in_time if given[slot] == kind], size)
    ]
    rank = {slot: number for number, part in enumerate(parts) for slot in part}
    return [rank[slot] for slot in range(len(times))]


def _by_time(times: Sequence[float]) -> list[int]:
    return sorted(range(len(times)), key=lambda slot: times[slot])


def _gaps(times: Sequence[float], given: Sequence[bool]) -> list[list[int]]:
    """The slots that are made, cut where something is given between them."""
    gaps: list[list[int]] = []
    after_given = True
    for slot in _by_time(times):
        if not given[slot]:
            if after_given:
                gaps.append([])
            gaps[-1].append(slot)
        after_given = given[slot]
    return gaps


def _pieces(slots: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Slots cut into neighbours, upwards or downwards, of at most `size`."""
    pieces: list[tuple[int, ...]] = []
    for slot in slots:
        if pieces and len(pieces[-1]) < size and abs(slot - pieces[-1][-1]) == 1:
            pieces[-1] = (*pieces[-1], slot)
        else:
            pieces.append((slot,))
    return pieces


def _due(
    piece: Sequence[int], given: Sequence[int], times: Sequence[float], horizon: float, ahead: int | None
) -> list[int]:
    """What of the given slots is to be shown before a piece is made; `ahead` None: it is made backwards."""
    first, last = min(times[slot] for slot in piece), max(times[slot] for slot in piece)
    later = [slot for slot in given if last < times[slot] <= last + horizon]
    if ahead is None:
        return later[::-1]
    return [slot for slot in given if times[slot] < first] + later[:ahead]


def _marked(runs: Sequence[Run], times: Sequence[float], horizon: float, sinks: int) -> tuple[Run, ...]:
    """The runs, each with whether anything that is made later sees it."""
    marked: list[Run] = []
    held = 0
    for index, run in enumerate(runs):
        later = [slot for one in runs[index + 1 :] if not one.given for slot in one.slots]
        near = any(abs(times[slot] - times[own]) <= horizon for slot in later for own in run.slots)
        seen = near or (bool(later) and held < sinks)
        held += len(run.slots) * seen
        marked.append(replace(run, seen=seen))
    return tuple(marked)
