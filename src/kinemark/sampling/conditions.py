"""What a sampler is given: text, times, given latents with the level at which they join, and the noise to start from.

Latents are asked for when their slots' turn comes, so that a minute takes no more memory than ten seconds.

Shape suffixes: B batch, C channels, F slots, H W latent size, L tokens, D width of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING

import torch
from einops import repeat

from kinemark.model.layout import layout_map
from kinemark.sampling.flow import Around

if TYPE_CHECKING:
    from torch import Tensor

Latents = Callable[[Sequence[int]], "Tensor"]
"""Slots -> their latents `[B, C, F, H, W]`."""
Noise = Callable[[Sequence[int], int], "Tensor"]
"""(slots, use) -> normal noise `[B, C, F, H, W]`; the same whenever it is asked for, another for each `Use`."""
Key = tuple[int, ...]
Recall = Callable[[Key, int, Callable[[], "Tensor"]], "Tensor"]
"""(which block, steps, make) -> its latents: those that were kept when it was made before, or those of `make`, which
asks the denoiser so many times."""


def make_anew(_key: Key, _steps: int, make: Callable[[], Tensor]) -> Tensor:
    """The `Recall` of whoever has nothing kept."""
    return make()


#: Keeps the noise of one slot apart from that of the next seed's, and that of one use from the next.
_STRIDE = 1_000_003
_APART = 1_099_511_627_791


class Use(IntEnum):
    """What noise is for."""

    START = 0
    """To start from."""
    HISTORY = 1
    """To be mixed into slots that are done."""
    AGAIN = 2
    """To go back up to a noise level; AGAIN + n after step n of a solver that does."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything that decides a sample. Slots are in no particular order; `time_F` says when each of them is.

    Attributes:
        shape: (batch, channels, slots, height, width) of the latents.
        text_BFLD: the prompt that each slot follows.
        time_F: the time of each slot, in slots. A still that leads a clip is a slot of its own, at its own time.
        cap_F: the noise level at which each slot joins: 0 is given and kept, 1 is made from noise alone.
        known: the given latents; asked for where the cap is below 1.
        noise: all noise that a sampler mixes in.
        layout_BSFK: where the subjects are in each slot (`model.layout`), for a model that is shown it.
        shown_BCFHW: what is laid beside the latents, for a model that is shown given pictures so.
        features_BKI: features of given pictures that are attended to beside the text, for a model that does.
        recall: gives each block, made anew or as it was kept.
    """

    shape: tuple[int, int, int, int, int]
    text_BFLD: Tensor
    time_F: Tensor
    cap_F: Tensor
    known: Latents
    noise: Noise
    layout_BSFK: Tensor | None = None
    shown_BCFHW: Tensor | None = None
    features_BKI: Tensor | None = None
    recall: Recall = make_anew

    @property
    def batch(self) -> int:
        """Clips."""
        return self.shape[0]

    def to(self, device: torch.device) -> Conditions:
        """The same on another device; times stay, for it is Python that asks for them."""
        return replace(
            self,
            text_BFLD=self.text_BFLD.to(device),
            cap_F=self.cap_F.to(device),
            known=lambda slots: self.known(slots).to(device),
            noise=lambda slots, use: self.noise(slots, use).to(device),
            layout_BSFK=None if self.layout_BSFK is None else self.layout_BSFK.to(device),
            shown_BCFHW=None if self.shown_BCFHW is None else self.shown_BCFHW.to(device),
            features_BKI=None if self.features_BKI is None else self.features_BKI.to(device),
        )

    def part(self, slots: Sequence[int]) -> Conditions:
        """Only some slots, in this order; their numbers are then their places in it."""
        chosen = list(slots)
        batch, channels, _, height, width = self.shape

        def of_whole(places: Sequence[int]) -> list[int]:
            return [chosen[place] for place in places]

        return replace(
            self,
            shape=(batch, channels, len(chosen), height, width),
            text_BFLD=self.text_BFLD[:, chosen],
            time_F=self.time_F[chosen],
            cap_F=self.cap_F[chosen],
            known=lambda places: self.known(of_whole(places)),
            noise=lambda places, use: self.noise(of_whole(places), use),
            layout_BSFK=None if self.layout_BSFK is None else self.layout_BSFK[:, :, chosen],
            shown_BCFHW=None if self.shown_BCFHW is None else self.shown_BCFHW[:, :, chosen],
        )

    def apart(self, name: int) -> Conditions:
        """The same, with blocks that are others than those of equal slots under another name."""
        return replace(self, recall=lambda key, steps, make: self.recall((name, *key), steps, make))

    def told(self, layout_BSFK: Tensor) -> Conditions:
        """The same with a layout."""
        return replace(self, layout_BSFK=layout_BSFK)

    def around(self, slots: Sequence[int]) -> Around:
        """What these slots are denoised among, beside a cache: their times, and what is shown."""
        chosen = list(slots)
        around = Around(time_BF=self.time_F[chosen].expand(self.batch, -1))
        if self.layout_BSFK is not None:
            around["condition_BCFHW"] = layout_map(self.layout_BSFK[:, :, chosen], *self.shape[-2:])
        if self.shown_BCFHW is not None:
            around["condition_BCFHW"] = self.shown_BCFHW[:, :, chosen].expand(self.batch, -1, -1, -1, -1)
        if self.features_BKI is not None:
            around["image_BKI"] = self.features_BKI
        return around

    @classmethod
    def from_text(cls, text_BLD: Tensor, seeds: Sequence[int], shape: tuple[int, int, int, int]) -> Conditions:
        """A batch of clips of `shape` (C, F, H, W) of which nothing but the prompt is given."""
        channels, slots, height, width = shape
        return cls(
            shape=(len(seeds), *shape),
            text_BFLD=repeat(text_BLD, "B L D -> B F L D", F=slots),
            time_F=torch.arange(slots, dtype=torch.float32),
            cap_F=torch.ones(slots),
            known=lambda asked: torch.zeros(len(seeds), channels, len(asked), height, width),
            noise=drawn(seeds, (channels, height, width)),
        )


def stored(latent_BCFHW: Tensor) -> Latents:
    """Latents that are all there."""
    return lambda slots: latent_BCFHW[:, :, list(slots)]


def drawn(seeds: Sequence[int], shape: tuple[int, int, int]) -> Noise:
    """Normal noise for latents of `shape` (C, H, W), drawn when it is asked for.

    Each clip has its own seed, and each slot a generator of its own, so that noise depends neither on what else is in
    the batch nor on how long the clip is. Drawn on the CPU: one seed is one clip on every device.
    """

    def of(seed: int, slot: int, use: int) -> Tensor:
        number = seed * _STRIDE + 2 * slot + use % 2 + use // 2 * _APART
        return torch.randn(shape, generator=torch.Generator().manual_seed(number % (1 << 63)))

    def draw(slots: Sequence[int], use: int) -> Tensor:
        return torch.stack([torch.stack([of(seed, slot, use) for slot in slots], dim=1) for seed in seeds])

    return draw
