"""How the clips of a batch are cut: which frames they show, what leads them, in which order their slots are made.

A clip is a window of slots, made in the order of time or backwards from its end, as a sampler makes them. It can be
led by clean slots that stand at times of their own: pictures, and whole slots that it has to arrive at. A window from
the middle of a long clip is led by that clip's first frame, which a bounded cache keeps (`model.cache`), no further
away than its horizon.

Shape suffixes: B batch, F slots, N frames that are rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS

if TYPE_CHECKING:
    import random

    from torch import Generator, Tensor

    from kinemark.training.recipes import Recipe

#: Slots of a four-second clip; windows that begin a clip lie inside it.
CLIP_SLOTS: Final = 9
#: Frames of a minute, from which windows in the middle of a long clip are cut.
MINUTE: Final = 60 * SPARK_FPS
#: How long one prompt's scene takes to become the next one's, in frames.
SHORTEST_CHANGE, LONGEST_CHANGE = 4.0, 14.0


@dataclass(frozen=True, slots=True)
class Shot:
    """What all clips of a batch have in common.

    Attributes:
        slots: length of the window.
        late: it lies anywhere in the first minute, begins with a whole slot, and is led by the clip's first frame.
        backward: its slots are made from the last to the first.
        stills: pictures that lead it.
        wholes: slots beyond its end that lead it.
        changed: its prompt is another one than that of what came before.
    """

    slots: int
    late: bool = False
    backward: bool = False
    stills: int = 0
    wholes: int = 0
    changed: bool = False

    @property
    def has_sink(self) -> bool:
        """Whether the first frame of the clip leads it: backwards, that is not made yet."""
        return self.late and not self.backward

    @property
    def leads(self) -> int:
        """Clean slots in front of the window."""
        return self.has_sink + self.stills + self.wholes

    @property
    def held(self) -> int:
        """Slots that hold one frame: they are rendered once, and come first."""
        return self.has_sink + self.stills + (not self.late)


def draw_shot(recipe: Recipe, rng: random.Random) -> Shot:
    """Draw the cut of a batch."""
    low, high = rng.choices(recipe.windows, recipe.window_shares)[0]
    slots = rng.randint(low, high)
    late = rng.random() < recipe.late
    if slots == 1:
        return Shot(slots, late)
    if rng.random() < recipe.backward:
        return Shot(slots, late, backward=True)
    changed = rng.random() < recipe.changed
    stills, wholes = 0, 0
    if rng.random() < recipe.anchored:
        stills, wholes = rng.choice(((1, 0), (2, 0), (0, 1), (0, 2)))
    return Shot(slots, late, stills=stills, wholes=wholes, changed=changed)


@dataclass(frozen=True, slots=True)
class Cut:
    """The frames and slots of the clips of a batch.

    Attributes:
        frame_BN: numbers of the frames to render: one of each held slot, then four of each other slot.
        order: for each slot as it is shown, its place among those that are rendered: leads first, then the window.
        time_BF: true times of the slots as they are shown, in slots from the beginning of the window.
        begin_B: the frame at which the window begins.
    """

    frame_BN: Tensor
    order: tuple[int, ...]
    time_BF: Tensor
    begin_B: Tensor


def draw_cut(shot: Shot, batch: int, horizon: int, generator: Generator) -> Cut:
    """Draw where the clips of a batch lie.

    Args:
        shot: what they have in common.
        batch: how many.
        horizon: slots that a lead may be away from the window's beginning.
        generator: on the device that renders.
    """

    def draw(low: int, high: int, count: int) -> Tensor:
        return torch.randint(low, high + 1, (batch, count), generator=generator, device=generator.device)

    length = FRAMES_PER_SLOT * (shot.slots - 1)
    first = FRAMES_PER_SLOT if shot.late else 0
    begin_B1 = draw(first, (MINUTE if shot.late else FRAMES_PER_SLOT * (CLIP_SLOTS - 1)) - length, 1)
    ahead_BA = draw(1, FRAMES_PER_SLOT * horizon, shot.stills)
    arrival_B1 = draw(shot.slots, max(shot.slots, horizon - shot.wholes + 1), 1)
    slot_1F = torch.arange(shot.slots, device=generator.device)[None].expand(batch, -1)
    whole_BA = arrival_B1 + torch.arange(shot.wholes, device=generator.device)
    sink_B1 = torch.zeros_like(begin_B1)[:, : int(shot.has_sink)]

    held_BN = torch.cat([sink_B1, begin_B1 + ahead_BA, *([] if shot.late else [begin_B1])], dim=1)
    moving_BF = torch.cat([slot_1F if shot.late else slot_1F[:, 1:], whole_BA], dim=1)
    within = torch.arange(1 - FRAMES_PER_SLOT, 1, device=generator.device)
    moving_BN = (begin_B1[:, :, None] + FRAMES_PER_SLOT * moving_BF[:, :, None] + within).flatten(1)

    sink_time_B1 = torch.full_like(sink_B1, shot.slots - 1 - horizon)
    window = list(range(shot.leads - shot.wholes, shot.leads - shot.wholes + shot.slots))
    ends = range(window[-1] + 1, window[-1] + 1 + shot.wholes)
    slots_BF = slot_1F.flip(1) if shot.backward else slot_1F
    return Cut(
        frame_BN=torch.cat([held_BN, moving_BN], dim=1),
        order=(*range(window[0]), *ends, *(reversed(window) if shot.backward else window)),
        time_BF=torch.cat([sink_time_B1, ahead_BA / FRAMES_PER_SLOT, whole_BA, slots_BF], dim=1).float(),
        begin_B=begin_B1[:, 0],
    )


@dataclass(frozen=True, slots=True)
class Change:
    """When one scene becomes another: `slot_B` is the first slot that shows it, `share_BN` its share of each frame."""

    slot_B: Tensor
    share_BN: Tensor


def draw_change(shot: Shot, cut: Cut, generator: Generator) -> Change:
    """Draw when the prompt changed: within the window, or before it where a sink still shows what was."""
    batch, device = len(cut.begin_B), generator.device
    earliest = 0 if shot.has_sink else 1
    slot_B = torch.randint(earliest, shot.slots, (batch,), generator=generator, device=device)
    ramp_B = torch.rand(batch, generator=generator, device=device) * (LONGEST_CHANGE - SHORTEST_CHANGE)
    since_BN = cut.frame_BN - (cut.begin_B + FRAMES_PER_SLOT * (slot_B - 1))[:, None]
    share_BN = (since_BN / (SHORTEST_CHANGE + ramp_B)[:, None]).clamp(0, 1)
    # Before the window the change is over.
    over_B1 = (slot_B == 0)[:, None]
    return Change(slot_B, torch.where(over_B1, (cut.frame_BN > 0).float(), share_BN))
