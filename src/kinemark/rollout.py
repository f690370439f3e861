"""From a timeline to frames: what a sampler is given, and what a decoder makes of it, slot by slot.

Nothing here grows with the length of a clip but a few numbers for each slot.

Shape suffixes: B batch, F slots, T frames, S subjects, K values of a layout, C channels, H W size in pixels (of
latents in names that begin with `latent`), L text tokens, D their width, P prompts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from einops import rearrange, repeat
from torch.nn import functional

from kinemark.model.autoencoder import COLOURS
from kinemark.sampling.conditions import Conditions, drawn
from kinemark.sampling.sides import meetings, sides, stream_sides
from kinemark.timeline import FRAMES_PER_SLOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from kinemark.engine import Model
    from kinemark.sampling.coarse import Experts
    from kinemark.sampling.solvers import Watcher
    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.timeline import Timeline


@torch.no_grad()
def roll(
    timeline: Timeline,
    model: Model,
    experts: Experts,
    conditions: Conditions,
    sampler: SamplerConfig,
    watch: Watcher | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """The frames of a clip in order, `[1, H, W, 3]` RGB bytes each; those given exactly come out as they were given."""
    parts = sides(conditions, sampler, timeline.num_slots)
    slots = _in_time(stream_sides(experts, conditions, sampler, parts, watch), timeline.num_slots, meetings(parts))
    decoded = _decoded(timeline, model, slots)
    for picture_CHW in model.joined(decoded, [cap == 0 for cap in timeline.caps]):
        bytes_CHW = (picture_CHW * 255).round().to(torch.uint8)
        yield rearrange(bytes_CHW, "C H W -> 1 H W C").contiguous().numpy()


def scaled(frames_THWC: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames at another size (height, width), by cubic interpolation, with what is between pixels averaged."""
    video_TCHW = rearrange(torch.from_numpy(frames_THWC), "T H W C -> T C H W").float()
    larger_TCHW = functional.interpolate(video_TCHW, size, mode="bicubic", antialias=True)
    bytes_TCHW = larger_TCHW.round().clamp(0, 255).to(torch.uint8)
    return rearrange(bytes_TCHW, "T C H W -> T H W C").contiguous().numpy()


def _decoded(timeline: Timeline, model: Model, slots: Iterable[Tensor]) -> Iterator[Tensor]:
    """The frames `[T, C, H, W]` of each slot that belong to the clip, in [0, 1]; what is given exactly is pasted in."""
    grid = model.target.sizes.grid(timeline.size)
    rows, columns = timeline.crop(grid)
    latent = (grid[0] // model.autoencoder.scale, grid[1] // model.autoencoder.scale)
    decode, last_BCHW = model.autoencoder.decoder(latent), None
    for slot, latent_BCHW in enumerate(slots):
        video_TCHW = decode(latent_BCHW, last_BCHW)[0]
        for position, picture_CHW in timeline.given(slot, grid, sigma_cap=0.0).items():
            video_TCHW[position] = picture_CHW
        in_slot, _ = timeline.placement(slot)
        yield video_TCHW[in_slot, :, rows, columns]
        last_BCHW = video_TCHW[None, -1]


@torch.no_grad()
def conditions_of(timeline: Timeline, model: Model, seed: int) -> Conditions:
    """What the sampler is given: the slots of the clip, and after them a slot for each still that leads it."""
    autoencoder, grid = model.autoencoder, model.target.sizes.grid(timeline.size)
    slots, stills = range(timeline.num_slots), timeline.anchors(grid)
    height, width = (side // autoencoder.scale for side in grid)

    def pictures(slot: int) -> Mapping[int, Tensor]:
        if slot >= len(slots):
            return {0: stills[slot - len(slots)].picture_CHW}
        return timeline.given(slot, grid)

    text_PLD = model.text.encode([span.text for span in timeline.prompts])
    prompts = [timeline.prompt_of_slot(slot) for slot in (*slots, *(math.ceil(still.time) for still in stills))]
    caps = [timeline.slot_cap(slot) for slot in slots]
    conditions = Conditions(
        shape=(1, autoencoder.channels, len(slots) + len(stills), height, width),
        text_BFLD=text_PLD[None, prompts],
        time_F=torch.tensor([*slots, *(still.time for still in stills)], dtype=torch.float32),
        cap_F=torch.tensor([*caps, *(0.0 for _ in stills)]),
        known=autoencoder.known(pictures, len(slots)),
        noise=drawn([seed], (autoencoder.channels, height, width)),
    )
    return model.conditioned(conditions, pictures, seed, len(slots)).to(model.device)


def _in_time(slots: Iterable[tuple[int, Tensor]], num_slots: int, meeting: Sequence[range]) -> Iterator[Tensor]:
    """The latents of the slots of the clip, `[B, C, H, W]` each, in the order of time, as soon as they are there.

    Those of two sides that meet are faded into each other.
    """
    shares = {slot: _shares(slot, where) for where in meeting for slot in where}
    once: dict[int, Tensor] = {}
    waiting: dict[int, Tensor] = {}
    turn = 0
    for slot, latent_BCHW in slots:
        if slot in shares and slot not in once:
            once[slot] = latent_BCHW
            continue
        waiting[slot] = torch.lerp(once.pop(slot), latent_BCHW, shares[slot]) if slot in shares else latent_BCHW
        while turn in waiting and turn < num_slots:
            yield waiting.pop(turn)
            turn += 1


def _shares(slot: int, where: range) -> Tensor:
    """How much of each frame of a slot is that of the later side, for the channels of its latent, `[C, 1, 1]`."""
    frames = FRAMES_PER_SLOT * len(where)
    first = FRAMES_PER_SLOT * (slot - where.start)
    share_T = (torch.arange(first, first + FRAMES_PER_SLOT) + 0.5) / frames
    return repeat(share_T, "T -> (T C) 1 1", C=COLOURS)
