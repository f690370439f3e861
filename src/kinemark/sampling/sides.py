"""A gap between given slots is made from both of its sides, each beside what is given there.

Forwards alone, a clip has to arrive: snow that falls from one given frame would have to become, flake by flake, the
snow of another. So the first half is made forwards from what is given before the gap, the second backwards from what
is given after it, as if each stood alone, and where they meet a few slots are made twice: one becomes the other there.
The plan of the whole (`laid_out`) holds for both, so subjects meet.
"""

from __future__ import annotations

from dataclasses import dataclass
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


def meetings(given: Sequence[bool]) -> list[range]:
    """The slots that are made twice, in the middle of each gap that has given slots on both sides.

    Args:
        given: of each slot of a clip, in the order of time.
    """
    found, begin = [], None
    for slot, is_given in enumerate(given):
        if is_given:
            if begin is not None and slot > begin:
                length = min(MEETING, slot - begin)
                first = begin + (slot - begin - length) // 2
                found.append(range(first, first + length))
            begin = slot + 1
    return found


def sides(conditions: Conditions, slots: int, ahead: int) -> tuple[Side, ...]:
    """The parts of a clip, in the order of time; one where no gap lies between given slots.

    Stills that lead a clip belong to no side: a clip that has any is made in one go.

    Args:
        conditions: the request; of its slots the first `slots` are those of the clip, in the order of time.
        slots: of the clip.
        ahead: given slots beyond a gap that are shown to the side before it, too.
    """
    everything = range(len(conditions.cap_F))
    given = (conditions.cap_F[:slots] == 0).tolist()
    cuts = meetings(given) if len(everything) == slots else []
    parts, begin = [], 0
    for cut in cuts:
        beyond = [slot for slot in range(cut.stop, slots) if given[slot]][:ahead]
        parts.append(Side((*range(begin, cut.stop), *beyond), frozenset(range(begin, cut.stop))))
        begin = cut.start
    return (*parts, Side(tuple(everything[begin:]), frozenset(everything[begin:])))


def stream_sides(
    experts: Experts, conditions: Conditions, config: SamplerConfig, slots: int, watch: Watcher | None = None
) -> Iterator[tuple[int, Tensor]]:
    """As `coarse.stream_coarse_first`, side by side: yield (slot, `latent_BCHW`); where sides meet, each gives its own.

    Args:
        experts: who answers.
        conditions: the request.
        config: how it is sampled; a model without blocks makes all of a clip in one go.
        slots: as for `sides`.
        watch: told of every step.
    """
    for side in _sides(conditions, config, slots):
        for shown, latent_BCFHW in stream_coarse_first(experts, conditions.part(side.shown), config, watch):
            for place, latent_BCHW in zip(shown, latent_BCFHW.unbind(2), strict=True):
                if side.shown[place] in side.own:
                    yield side.shown[place], latent_BCHW


def count_all_steps(experts: Experts, conditions: Conditions, config: SamplerConfig, slots: int) -> int:
    """How often the experts are asked for all sides (`coarse.count_steps`)."""
    parts = _sides(conditions, config, slots)
    return sum(count_steps(experts, conditions.part(side.shown), config) for side in parts)


def _sides(conditions: Conditions, config: SamplerConfig, slots: int) -> tuple[Side, ...]:
    if config.block_slots is None:
        everything = range(len(conditions.cap_F))
        return (Side(tuple(everything), frozenset(everything)),)
    return sides(conditions, slots, config.ahead)
