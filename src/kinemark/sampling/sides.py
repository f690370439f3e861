"""A gap between given slots is made from both of its sides, each beside what is given there.

Forwards alone, a clip has to arrive: snow that falls from one given frame would have to become, flake by flake, the
snow of another. So the first half is made forwards from what is given before the gap, the second backwards from what
is given after it, as if each stood alone, and where they meet a few slots are made twice: one becomes the other there.
The plan of the whole (`laid_out`) holds for both, so subjects meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from kinemark.sampling.coarse import count_steps, stream_coarse_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from kinemark.sampling.coarse import Experts
    from kinemark.sampling.conditions import Conditions
    from kinemark.sampling.solvers import Watcher
    from kinemark.sampling.streaming import SamplerConfig

#: Slots that are made twice where two sides meet, if the gap has as many.
MEETING: Final = 2


@dataclass(frozen=True, slots=True)
class Side:
    """A part of a clip that is made alone.

    Attributes:
        shown: all of its slots, in order: those that it is shown beside its own come from other parts.
        own: those that it gives or makes.
    """

    shown: tuple[int, ...]
    own: frozenset[int]


def sides(conditions: Conditions, config: SamplerConfig, slots: int) -> tuple[Side, ...]:
    """The parts of a clip, in the order of time; one where no gap lies between given slots.

    A clip that stills lead is made in one go, since they belong to no side, and so is any by a model without blocks.

    Args:
        conditions: the request; of its slots the first `slots` are those of the clip, in the order of time.
        config: how it is sampled; `config.ahead` given slots beyond a gap are shown to the side before it, too.
        slots: of the clip.
    """
    everything = range(len(conditions.cap_F))
    given = (conditions.cap_F[:slots] == 0).tolist()
    alone = config.block_slots is None or len(everything) > slots
    parts, begin = [], 0
    for meeting in [] if alone else _meetings(given):
        beyond = [slot for slot in range(meeting.stop, slots) if given[slot]][: config.ahead]
        parts.append(Side((*range(begin, meeting.stop), *beyond), frozenset(range(begin, meeting.stop))))
        begin = meeting.start
    return (*parts, Side(tuple(everything[begin:]), frozenset(everything[begin:])))


def meetings(parts: Sequence[Side]) -> list[range]:
    """The slots that are made twice, by each two sides that meet."""
    found = [sorted(one.own & other.own) for one, other in pairwise(parts)]
    return [range(slots[0], slots[-1] + 1) for slots in found]


def _meetings(given: Sequence[bool]) -> list[range]:
    """The slots in the middle of each gap that has given slots on both sides."""
    found, begin = [], None
    for slot, is_given in enumerate(given):
        if is_given:
            if begin is not None and slot > begin:
                length = min(MEETING, slot - begin)
                first = begin + (slot - begin - length) // 2
                found.append(range(first, first + length))
            begin = slot + 1
    return found


def stream_sides(
    experts: Experts,
    conditions: Conditions,
    config: SamplerConfig,
    parts: Sequence[Side],
    watch: Watcher | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """As `coarse.stream_coarse_first`, side by side: yield (slot, `latent_BCHW`); where sides meet, each gives its own.

    Args:
        experts: who answers.
        conditions: the request.
        config: how it is sampled.
        parts: from `sides`.
        watch: told of every step.
    """
    for number, side in enumerate(parts):
        part = conditions.part(side.shown).apart(number)
        for shown, latent_BCFHW in stream_coarse_first(experts, part, config, watch):
            for place, latent_BCHW in zip(shown, latent_BCFHW.unbind(2), strict=True):
                if side.shown[place] in side.own:
                    yield side.shown[place], latent_BCHW


def count_all_steps(experts: Experts, conditions: Conditions, config: SamplerConfig, parts: Sequence[Side]) -> int:
    """How often the experts are asked for all sides (`coarse.count_steps`)."""
    return sum(count_steps(experts, conditions.part(side.shown), config) for side in parts)
