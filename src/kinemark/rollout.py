"""From a timeline to frames: what a sampler is given, and what a decoder makes of it, slot by slot.

Nothing here grows with the length of a clip but a few numbers for each slot.

Shape suffixes: B batch, F slots, T frames, S subjects, K values of a layout, C channels, H W size in pixels (of
latents in names that begin with `latent`), L text tokens, D their width, P prompts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from einops import rearrange

from kinemark.joins import joined
from kinemark.model.autoencoder import SCALE, encode
from kinemark.sampling.coarse import experts_of, stream_coarse_first
from kinemark.sampling.conditions import Conditions, Use, drawn
from kinemark.sampling.laid_out import with_layout
from kinemark.sizes import SPARK_SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from kinemark.model.load import Model
    from kinemark.sampling.coarse import Experts
    from kinemark.sampling.solvers import Watcher
    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.timeline import Timeline


def guided_experts(model: Model, guidance: float) -> Experts:
    """The experts of a model, following the prompt so closely."""
    return experts_of(model.transformer, model.scene, model.text.encode([""])[0], guidance)


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
    decoded = _decoded(timeline, model, stream_coarse_first(experts, conditions, sampler, watch))
    for picture_CHW in joined(decoded, [cap == 0 for cap in timeline.caps]):
        bytes_CHW = (picture_CHW * 255).round().to(torch.uint8)
        yield rearrange(bytes_CHW, "C H W -> 1 H W C").contiguous().numpy()


def _decoded(timeline: Timeline, model: Model, slots: Iterable[tuple[tuple[int, ...], Tensor]]) -> Iterator[Tensor]:
    """The frames `[T, C, H, W]` of each slot that belong to the clip, in [0, 1]; what is given exactly is pasted in."""
    grid = SPARK_SIZES.grid(timeline.size)
    rows, columns = timeline.crop(grid)
    previous_BCHW: Tensor | None = None
    for slot, latent_BCHW in enumerate(_in_time(slots, timeline.num_slots)):
        video_TCHW = model.autoencoder.decode_slot(latent_BCHW, previous_BCHW)[0][0]
        for position, picture_CHW in timeline.given(slot, grid, sigma_cap=0.0).items():
            video_TCHW[position] = picture_CHW
        in_slot, _ = timeline.placement(slot)
        yield video_TCHW[in_slot, :, rows, columns]
        previous_BCHW = video_TCHW[None, -1]


@torch.no_grad()
def conditions_of(timeline: Timeline, model: Model, seed: int) -> Conditions:
    """What the sampler is given: the slots of the clip, and after them a slot for each still that leads it."""
    grid = SPARK_SIZES.grid(timeline.size)
    slots, stills = range(timeline.num_slots), timeline.anchors(grid)
    height, width = (side // SCALE for side in grid)
    channels, count = model.config.in_channels, len(slots) + len(stills)

    def known(asked: Sequence[int]) -> Tensor:
        return torch.stack([_encode_slot(pictures(slot)) for slot in asked], dim=1)[None]

    def pictures(slot: int) -> Tensor:
        if slot >= len(slots):
            return stills[slot - len(slots)].picture_CHW[None]
        return torch.stack(list(timeline.given(slot, grid).values()))

    text_PLD = model.text.encode([span.text for span in timeline.prompts])
    prompts = [timeline.prompt_of_slot(slot) for slot in (*slots, *(math.ceil(still.time) for still in stills))]
    caps = [timeline.slot_cap(slot) for slot in slots]
    conditions = Conditions(
        shape=(1, channels, count, height, width),
        text_BFLD=text_PLD[None, prompts],
        time_F=torch.tensor([*slots, *(still.time for still in stills)], dtype=torch.float32),
        cap_F=torch.tensor([*caps, *(0.0 for _ in stills)]),
        known=known,
        noise=drawn([seed], (channels, height, width), Use.START),
        history_noise=drawn([seed], (channels, height, width), Use.HISTORY),
    )
    return with_layout(conditions, model, [seed], len(slots))


def _encode_slot(video_TCHW: Tensor) -> Tensor:
    """The latent `[C, H, W]` of one slot: of four frames, or of a single one."""
    lead = video_TCHW[:1] if len(video_TCHW) > 1 else video_TCHW[:0]
    return encode(torch.cat((lead, video_TCHW))[None])[0, :, -1]


def _in_time(blocks: Iterable[tuple[tuple[int, ...], Tensor]], num_slots: int) -> Iterator[Tensor]:
    """The latents of the slots of the clip, `[B, C, H, W]` each, in the order of time, as soon as they are there."""
    waiting: dict[int, Tensor] = {}
    turn = 0
    for slots, latent_BCFHW in blocks:
        waiting |= zip(slots, latent_BCFHW.unbind(dim=2), strict=True)
        while turn in waiting and turn < num_slots:
            yield waiting.pop(turn)
            turn += 1
