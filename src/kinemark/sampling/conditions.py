"""What a sampler is given: text, times, given latents with the level at which they join, and the noise to start from.

Shape suffixes: B batch, C channels, F slots, H W latent size, L tokens, D width of the text.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from einops import rearrange, repeat

from kinemark.model.layout import layout_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything that decides a sample. Slots are in no particular order; `time_F` says when each of them is.

    Attributes:
        text_BFLD: the prompt that each slot follows.
        time_F: the time of each slot, in slots. A still that leads a clip is a slot of its own, at its own time.
        cap_F: the noise level at which each slot joins: 0 is given and kept, 1 is made from noise alone.
        known_BCFHW: the given latents; of no effect where the cap is 1.
        noise_BCFHW: what each slot starts from.
        history_noise_BCFHW: what is mixed into each slot that is done, where a sampler keeps noisy history.
        layout_BSFK: where the subjects are in each slot (`model.layout`), for a model that is shown it.
    """

    text_BFLD: Tensor
    time_F: Tensor
    cap_F: Tensor
    known_BCFHW: Tensor
    noise_BCFHW: Tensor
    history_noise_BCFHW: Tensor
    layout_BSFK: Tensor | None = None

    def to(self, device: torch.device) -> Conditions:
        """The same on another device."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: part.to(device) for name, part in parts.items() if part is not None})

    def beside(self, slots: Sequence[int]) -> Tensor | None:
        """What is shown beside the latents of these slots: the map of their layout, if there is one."""
        if self.layout_BSFK is None:
            return None
        return layout_map(self.layout_BSFK[:, :, list(slots)], *self.known_BCFHW.shape[-2:])

    @classmethod
    def from_text(cls, text_BLD: Tensor, seeds: Sequence[int], shape: tuple[int, int, int, int]) -> Conditions:
        """A batch of clips of `shape` (C, F, H, W) of which nothing but the prompt is given."""
        noise, history_noise = draw_noise(seeds, shape)
        return cls(
            text_BFLD=repeat(text_BLD, "B L D -> B F L D", F=shape[1]),
            time_F=torch.arange(shape[1], dtype=torch.float32),
            cap_F=torch.ones(shape[1]),
            known_BCFHW=torch.zeros_like(noise),
            noise_BCFHW=noise,
            history_noise_BCFHW=history_noise,
        )


def draw_noise(seeds: Sequence[int], shape: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """Noise to start from and noise for history, `[B, C, F, H, W]` each, with `shape` = (C, F, H, W).

    Each clip has its own seed and is drawn slot by slot, so that it depends neither on what else is in the batch nor on
    how long it is. Drawn on the CPU: one seed is one clip on every device.
    """
    channels, slots, height, width = shape
    noise_BF2CHW = torch.stack(
        [torch.randn(slots, 2, channels, height, width, generator=torch.Generator().manual_seed(s)) for s in seeds]
    )
    start, history = rearrange(noise_BF2CHW, "B F k C H W -> k B C F H W").unbind(0)
    return start, history
