"""Where frames that were made apart meet: what differs for no reason is taken over, and let go slowly.

The frames of a slot are made together, those of two slots are not, and kept frames were not made at all. Where nothing
moves, the first frame of a slot should look as the frame before it. It does not quite: it is a little off, and beside
kept frames softer. That error is measured at the join, where nothing moves, and taken from the frames that follow, less
and less; so a seam becomes a slow change that nobody sees. (The offset of a seam is spread out, instead of the seam
being blurred, as in gradient-domain compositing: Perez et al., Poisson Image Editing, 2003.)

What moves is left alone there. But two kept frames show how it moves, and so what it would look like a few frames on:
beside them, made frames grow out of that, and become what was made within a second.

Shape suffixes: T frames, C channels, H W size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import avg_pool2d

from kinemark.motion import Course

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

#: Frames over which an error beside kept frames is let go, and one between two slots: by the end of the slot, since
#: what is left would add up from slot to slot.
FADE: Final = 16
WITHIN: Final = 4
#: Frames over which what kept frames lead to becomes what was made.
GOING: Final = 6
#: Pixels around a place that are compared; how far they may be apart on average to be the same place; and how far from
#: one frame of a slot to the next where little moves.
AROUND: Final = 9
SAME: Final = 0.25
STILL: Final = 0.12


@dataclass(frozen=True, slots=True)
class _Edge:
    """The error at a join: what is added to the frame beside it, and that frame."""

    offset_CHW: Tensor
    beside_CHW: Tensor

    @classmethod
    def between(cls, goal_CHW: Tensor, beside_CHW: Tensor, next_CHW: Tensor) -> _Edge:
        """The error of a frame beside `goal_CHW`; `next_CHW`, on its other side, was made together with it."""
        still = _likeness(beside_CHW, next_CHW, STILL) * _likeness(goal_CHW, beside_CHW, SAME)
        return cls((goal_CHW - beside_CHW) * still, beside_CHW)

    def taken(self, frame_CHW: Tensor, away: int, fade: int) -> Tensor:
        """A frame so many frames away from the join, without what is left of the error there."""
        share = 1 - (away + 0.5) / fade
        if share <= 0:
            return frame_CHW
        added = share * self.offset_CHW * _likeness(frame_CHW, self.beside_CHW, SAME)
        return (frame_CHW + added).clamp(0, 1)


def joined(slots: Iterable[Tensor], exact: Sequence[bool]) -> Iterator[Tensor]:
    """The frames of a clip in order, `[C, H, W]` in [0, 1] each; those that are kept exactly come out as they are.

    Made frames before a kept one wait until that is there, `FADE` at the most, and the one after it.

    Args:
        slots: the frames `[T, C, H, W]` of each slot, in order.
        exact: for every frame of the clip, whether it is kept exactly.
    """
    waiting: list[Tensor] = []
    arrival: Tensor | None = None
    for index, frame_CHW in enumerate(_carried(slots, exact)):
        if arrival is not None:
            yield from _led_to(arrival, waiting, beyond_CHW=frame_CHW)
            yield arrival
            waiting, arrival = [], None
        if not exact[index]:
            waiting.append(frame_CHW)
            while len(waiting) > _wait(exact, index):
                yield waiting.pop(0)
        elif waiting and all(exact[index : index + 2]) and index + 1 < len(exact):
            arrival = frame_CHW
        else:
            yield from _led_to(frame_CHW, waiting)
            waiting = []
            yield frame_CHW
    yield from waiting


def _carried(slots: Iterable[Tensor], exact: Sequence[bool]) -> Iterator[Tensor]:
    """The frames, each slot brought to the frame before it."""
    index = 0
    last: Tensor | None = None
    before_last: Tensor | None = None
    after_kept = after_slot = _NOTHING
    going = _Going(None, 0)
    for slot_TCHW in slots:
        for place, frame_CHW in enumerate(slot_TCHW):
            beyond = slot_TCHW[min(place + 1, len(slot_TCHW) - 1)]
            if exact[index]:
                after_kept = after_slot = _NOTHING
                made = frame_CHW
            else:
                if last is not None and exact[index - 1]:
                    after_kept = _Fading(_Edge.between(last, frame_CHW, beyond), index, FADE)
                    shown = before_last if exact[index - 2] else None
                    going = _Going(None if shown is None else Course.away_from(shown, last), index)
                brought = after_kept.taken(frame_CHW, index)
                if last is not None and place == 0 and not exact[index - 1]:
                    after_slot = _Fading(_Edge.between(last, brought, beyond), index, WITHIN)
                made = going.taken(after_slot.taken(brought, index), index)
            yield made
            before_last, last = last, made
            index += 1


@dataclass(frozen=True, slots=True)
class _Fading:
    """An edge and the frame that is beside it; `fade` frames on, nothing is left of its error."""

    edge: _Edge | None
    begin: int
    fade: int

    def taken(self, frame_CHW: Tensor, index: int) -> Tensor:
        """The frame with this number, without what is left of the error."""
        return frame_CHW if self.edge is None else self.edge.taken(frame_CHW, index - self.begin, self.fade)


_NOTHING: Final = _Fading(None, 0, 1)


@dataclass(frozen=True, slots=True)
class _Going:
    """Where kept frames lead, and the number of the frame beside them."""

    course: Course | None
    begin: int

    def taken(self, frame_CHW: Tensor, index: int) -> Tensor:
        """The frame with this number, as far as it is not yet what was made."""
        steps = abs(index - self.begin) + 1
        share = 1 - (steps - 0.5) / GOING
        if self.course is None or share <= 0:
            return frame_CHW
        seen_CHW, sure_1HW = self.course.after(steps)
        return torch.lerp(frame_CHW, seen_CHW, share * sure_1HW)


def _led_to(kept_CHW: Tensor, made: Sequence[Tensor], beyond_CHW: Tensor | None = None) -> Iterator[Tensor]:
    """Made frames that end at a kept one, brought to it; `beyond_CHW` is kept as well and comes after that."""
    if not made:
        return
    edge = _Edge.between(kept_CHW, made[-1], made[max(0, len(made) - 2)])
    going = _Going(None if beyond_CHW is None else Course.away_from(beyond_CHW, kept_CHW), len(made) - 1)
    for place, frame_CHW in enumerate(made):
        brought = edge.taken(frame_CHW, len(made) - 1 - place, min(FADE, len(made)))
        yield going.taken(brought, place)


def _wait(exact: Sequence[bool], index: int) -> int:
    """How many of the made frames up to `index` have to wait for a kept one that comes after it."""
    ahead = next((later for later in range(index + 1, min(len(exact), index + FADE + 1)) if exact[later]), None)
    return 0 if ahead is None else max(0, index + 1 - (ahead - FADE))


def _likeness(one_CHW: Tensor, other_CHW: Tensor, scale: float) -> Tensor:
    """How much of a place is the same in two frames, `[1, H, W]` in 0..1; `scale` is how far they may be apart."""
    apart_1HW = (one_CHW - other_CHW).abs().mean(0, keepdim=True)
    around = avg_pool2d(apart_1HW[None], AROUND, stride=1, padding=AROUND // 2, count_include_pad=False)[0]
    return torch.exp(-(around / scale).square())
