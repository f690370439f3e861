"""What the one path needs of a model. spark and the Wan family are values of it; nothing past here knows which it has.

Shape suffixes: B batch, F slots, T frames, C channels, H W size in pixels (of latents in names that begin with
`latent`), L text tokens, D their width, P prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from kinemark.model.text import Reading
    from kinemark.sampling.coarse import Experts
    from kinemark.sampling.conditions import Conditions, Latents
    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.sizes import Target
    from kinemark.timeline import Capability

Pictures = Callable[[int], Mapping[int, Tensor]]
"""Slot -> what is given of it: pictures `[C, H, W]` in [0, 1] by their place, of four in every slot but the first."""


def whole(pictures: Mapping[int, Tensor]) -> Tensor:
    """The frames `[T, C, H, W]` of a slot that is given whole."""
    return torch.stack([picture_CHW for _, picture_CHW in sorted(pictures.items())])


class TextEncoder(Protocol):
    """Turns prompts into what the transformer attends to."""

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """The tokens `[P, L, D]` of prompts; that of an empty one is what guidance leads away from."""

    def read(self, prompts: Sequence[str]) -> Sequence[Reading]:
        """What is understood of each prompt, where a model can say; else nothing."""

    def check(self, prompt: str) -> None:
        """Raise a `RequestError` for a prompt that is too long."""


class Decoder(Protocol):
    """Decodes the slots of one clip, in order."""

    def __call__(self, latent_BCHW: Tensor, last_BCHW: Tensor | None) -> Tensor:
        """The frames of the next slot, `video_BTCHW` in [0, 1].

        Args:
            latent_BCHW: the slot.
            last_BCHW: the last frame so far, with what is given pasted in; None for the first slot.
        """


class Autoencoder(Protocol):
    """Turns pixels into latents and back."""

    @property
    def channels(self) -> int:
        """Channels of a latent."""

    @property
    def scale(self) -> int:
        """Pixels along one side of a latent pixel."""

    def known(self, pictures: Pictures, slots: int) -> Latents:
        """The latents of slots that are given whole; slots from `slots` on are stills."""

    def decoder(self, latent: tuple[int, int]) -> Decoder:
        """What decodes a clip from its first slot on; told the rows and columns of its latents."""


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that turns a timeline into frames.

    Attributes:
        name: as it was asked for.
        weights_digest: sha256 of the weights, in hexadecimal; the manifest of every clip names it.
        target: what it makes.
        capabilities: what the weights were trained for beyond text.
        photoreal: whether its pictures could be taken for recordings; models of drawn worlds cannot.
        guidance: how closely it follows a prompt unless told otherwise.
        sampler: how it is sampled.
        text: its text encoder.
        autoencoder: between its latents and pixels.
        device: where latents are made.
        experts: who answers the sampler, for how closely a prompt is to be followed, for what is asked, and for what is
            not to be shown (the negative prompt; empty: the model's own).
        conditioned: adds what is shown beside text and latents; told what is given, the seed, and how many slots the
            clip has.
        joined: puts frames that were made apart together; told which slots are kept.
        preview: a latent `[C, F, H, W]` in the making -> small frames `[T, 3, H, W]` that show what it becomes; None
            where only the decoder could say.
    """

    name: str
    weights_digest: str
    target: Target
    capabilities: frozenset[Capability]
    photoreal: bool
    guidance: float
    sampler: SamplerConfig
    text: TextEncoder
    autoencoder: Autoencoder
    device: torch.device
    experts: Callable[[float, Conditions, str], Experts]
    conditioned: Callable[[Conditions, Pictures, int, int], Conditions]
    joined: Callable[[Iterable[Tensor], Sequence[bool]], Iterator[Tensor]]
    preview: Callable[[Tensor], Tensor] | None
