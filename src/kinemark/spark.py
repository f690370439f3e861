"""spark as a `Model` of the engine: its two experts, its layout, its exact encoder and its small decoder.

Shape suffixes: B batch, F slots, T frames, C channels, H W size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from kinemark.engine import Model, whole
from kinemark.errors import RequestError
from kinemark.joins import joined
from kinemark.model.autoencoder import LATENT_CHANNELS, SCALE, encode, unpack
from kinemark.model.load import read_model
from kinemark.model.load import spark as shipped
from kinemark.model.text import count_words
from kinemark.model.tokenizer import MAX_WORDS
from kinemark.sampling.coarse import experts_of
from kinemark.sampling.guidance import GUIDANCE
from kinemark.sampling.laid_out import with_layout
from kinemark.sampling.streaming import SamplerConfig
from kinemark.sizes import SPARK_SIZES, Target
from kinemark.timeline import SPARK_FPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from kinemark.engine import Decoder, Pictures
    from kinemark.model.autoencoder import Upsampler
    from kinemark.model.load import Networks
    from kinemark.model.text import Reading, TextEncoder
    from kinemark.sampling.coarse import Experts
    from kinemark.sampling.conditions import Conditions, Latents

TARGET: Final = Target(fps=SPARK_FPS, size=(256, 256), sizes=SPARK_SIZES)


def load_spark() -> Model:
    """The model that ships with the package."""
    return spark_model(shipped())


def load_file(path: Path) -> Model:
    """A model of spark's kind from a file of weights that training wrote.

    Raises:
        FailureError: as `model.load.read_model`.
    """
    return spark_model(read_model(path, path.stem))


def spark_model(networks: Networks) -> Model:
    """Networks of spark's kind, as a model."""
    return Model(
        name=networks.name,
        weights_digest=networks.weights_digest,
        target=TARGET,
        capabilities=networks.capabilities,
        photoreal=networks.photoreal,
        guidance=GUIDANCE,
        sampler=SamplerConfig().fitted(networks.config),
        text=Words(networks.text),
        autoencoder=Packed(networks.autoencoder),
        device=torch.device("cpu"),
        experts=partial(_experts, networks),
        conditioned=partial(_laid_out, networks),
        joined=joined,
        preview=lambda latent_CFHW: unpack(latent_CFHW[None])[0],
    )


def _experts(networks: Networks, guidance: float, _conditions: Conditions, negative_prompt: str = "") -> Experts:
    return experts_of(networks.transformer, networks.scene, networks.text.encode([negative_prompt])[0], guidance)


def _laid_out(networks: Networks, conditions: Conditions, _given: Pictures, seed: int, slots: int) -> Conditions:
    return with_layout(conditions, networks, [seed], slots)


@dataclass(frozen=True, slots=True)
class Words:
    """spark's encoder of prompts, which reads at most `MAX_WORDS` words."""

    encoder: TextEncoder

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """The tokens of prompts."""
        return self.encoder.encode(prompts)

    def read(self, prompts: Sequence[str]) -> Sequence[Reading]:
        """What is understood of each prompt."""
        return self.encoder.read(prompts)

    def check(self, prompt: str) -> None:
        """Raise a `RequestError` for a prompt that is too long."""
        words = count_words(prompt)
        if words > MAX_WORDS:
            raise RequestError(f"the prompt has {words} words; at most {MAX_WORDS} are read: shorten it")


@dataclass(frozen=True, slots=True)
class Packed:
    """spark's autoencoder: slots are encoded exactly and each by itself, and decoded beside the frame before."""

    upsampler: Upsampler
    channels: int = LATENT_CHANNELS
    scale: int = SCALE

    def known(self, pictures: Pictures, slots: int) -> Latents:  # noqa: ARG002  stills are encoded like other slots
        """The latents of given slots."""
        return lambda asked: torch.stack([_encode_slot(whole(pictures(slot))) for slot in asked], dim=1)[None]

    def decoder(self, latent: tuple[int, int]) -> Decoder:  # noqa: ARG002  every size is decoded alike
        """What decodes a clip; it remembers nothing, for it is told the last frame."""
        return lambda latent_BCHW, last_BCHW: self.upsampler.decode_slot(latent_BCHW, last_BCHW)[0]


def _encode_slot(video_TCHW: Tensor) -> Tensor:
    """The latent `[C, H, W]` of one slot: of four frames, or of a single one."""
    lead = video_TCHW[:1] if len(video_TCHW) > 1 else video_TCHW[:0]
    return encode(torch.cat((lead, video_TCHW))[None])[0, :, -1]
