"""What is known of each open model of the Wan family that can be asked for by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from kinemark.model.configs import wan_1_3b, wan_5b, wan_14b, wan_14b_ends, wan_14b_image, wan_22_14b_image
from kinemark.model.transformer import Transformer
from kinemark.sizes import SizeRange, Target
from kinemark.timeline import Capability

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from kinemark.model.configs import TransformerConfig

APACHE: Final = "Apache-2.0"
#: Pixels along a patch: 8 of a latent pixel (16 of Wan 2.2's small model), of which a patch has two.
_SMALL, _LARGE = SizeRange(multiple=16, least=128, most=1280), SizeRange(multiple=32, least=128, most=1280)


@dataclass(frozen=True, slots=True)
class Release:
    """A published model.

    Attributes:
        name: by which it is asked for.
        repository: on the Hugging Face hub.
        licence: of the weights, as its repository says.
        about: what it is for, in a few words.
        config: the transformer, whose tensors are checked against it.
        method: how it is sampled, a key of `sampling.methods.METHODS`.
        target: what it makes.
        guidance: how closely it follows a prompt, for each expert; 1 for models that were distilled with guidance.
        boundary: the noise level at which the second expert takes over, where there are two.
        file: the checkpoint in the repository, where it holds no more than a transformer.
        base: whose text encoder and autoencoder it uses; by default its own.
    """

    name: str
    repository: str
    licence: str
    about: str
    config: TransformerConfig
    method: str
    target: Target
    guidance: tuple[float, ...]
    boundary: float | None = None
    file: str | None = None
    base: str | None = None

    @property
    def parameters(self) -> int:
        """Of all its transformers."""
        return len(self.guidance) * (_count(self._shallow()) + (self.config.layers - 1) * self.block_parameters)

    @property
    def block_parameters(self) -> int:
        """Of one block of one of them."""
        return _count(self._shallow().blocks[0])

    def _shallow(self) -> Transformer:
        with torch.device("meta"):
            return Transformer(replace(self.config, layers=1))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _showing(config: TransformerConfig, *capabilities: Capability) -> TransformerConfig:
    """An image-to-video model's configuration, with what it can be shown."""
    return replace(config, capabilities=frozenset(capabilities))


def _bidirectional(
    name: str,
    repository: str,
    about: str,
    config: TransformerConfig,
    method: str,
    guidance: tuple[float, ...],
    *,
    boundary: float | None = None,
    fps: int = 16,
    size: tuple[int, int] = (480, 832),
    sizes: SizeRange = _SMALL,
) -> Release:
    target = Target(fps=fps, size=size, sizes=sizes, frames=5 * fps + 1)
    return Release(name, repository, APACHE, about, config, method, target, guidance, boundary)


def _causal(
    name: str, repository: str, file: str, method: str, licence: str, config: TransformerConfig, *, block: int = 3
) -> Release:
    base = {16: "wan2.1-1.3b", 48: "wan2.2-5b"}[config.in_channels]
    capabilities = frozenset({Capability.HISTORY, Capability.PROMPTS})
    return Release(
        name=name,
        repository=repository,
        licence=licence,
        about="streams, as long as is asked",
        config=replace(config, block_slots=block, capabilities=capabilities),
        method=method,
        target=Target(fps=16, size=(480, 832), sizes=_SMALL),
        guidance=(1.0,),
        file=file,
        base=base,
    )


_ALL: Final = (
    _bidirectional(
        "wan2.1-1.3b",
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "480p on one small GPU",
        wan_1_3b(),
        "wan-480p",
        (6.0,),
    ),
    _bidirectional("wan2.1-14b", "Wan-AI/Wan2.1-T2V-14B-Diffusers", "480p and 720p", wan_14b(), "wan-720p", (5.0,)),
    _bidirectional(
        "wan2.2-5b",
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        "720p at 24 frames a second, from text or a first frame",
        wan_5b(),
        "wan-720p",
        (5.0,),
        fps=24,
        size=(704, 1280),
        sizes=_LARGE,
    ),
    _bidirectional(
        "wan2.2-14b",
        "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        "two experts of 14 billion weights, the best of the family",
        wan_14b(),
        "wan2.2-14b",
        (4.0, 3.0),
        boundary=0.875,
    ),
    _bidirectional(
        "wan2.1-14b-image",
        "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        "sets a picture in motion, 480p",
        _showing(wan_14b_image(), Capability.HISTORY),
        "wan-480p",
        (5.0,),
    ),
    _bidirectional(
        "wan2.1-14b-ends",
        "Wan-AI/Wan2.1-FLF2V-14B-720P-diffusers",
        "leads from a first picture to a last one, 720p",
        _showing(wan_14b_ends(), Capability.HISTORY, Capability.FUTURE, Capability.STILL),
        "wan-720p",
        (5.5,),
        size=(720, 1280),
    ),
    _bidirectional(
        "wan2.2-14b-image",
        "Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        "sets a picture in motion with two experts",
        _showing(wan_22_14b_image(), Capability.HISTORY),
        "wan2.2-14b-image",
        (3.5, 3.5),
        boundary=0.9,
    ),
    _causal(
        "self-forcing", "gdhe17/Self-Forcing", "checkpoints/self_forcing_dmd.pt", "self-forcing", APACHE, wan_1_3b()
    ),
    _causal(
        "causal-forcing", "zhuhz22/Causal-Forcing", "chunkwise/causal_forcing.pt", "causal-forcing", APACHE, wan_1_3b()
    ),
    _causal(
        "causal-forcing-framewise",
        "zhuhz22/Causal-Forcing",
        "framewise/causal_forcing.pt",
        "causal-forcing-framewise",
        APACHE,
        wan_1_3b(),
        block=1,
    ),
    _causal(
        "longlive", "Efficient-Large-Model/LongLive-1.3B", "models/longlive_base.pt", "longlive", APACHE, wan_1_3b()
    ),
    _causal(
        "infinity-rope", "gdhe17/Self-Forcing", "checkpoints/self_forcing_dmd.pt", "infinity-rope", APACHE, wan_1_3b()
    ),
    _causal(
        "causvid",
        "tianweiy/CausVid",
        "autoregressive_checkpoint/model.pt",
        "causvid",
        "CC-BY-NC-SA-4.0: not for commercial use",
        wan_1_3b(),
    ),
    _causal(
        "rolling-forcing",
        "TencentARC/RollingForcing",
        "checkpoints/rolling_forcing_dmd.pt",
        "rolling-forcing",
        "Tencent: academic use only",
        wan_1_3b(),
    ),
    _causal(
        "krea-realtime",
        "krea/krea-realtime-video",
        "krea-realtime-video-14b.safetensors",
        "krea-realtime",
        "CC-BY-NC-SA-4.0: not for commercial use",
        wan_14b(),
    ),
)
RELEASES: Final[Mapping[str, Release]] = {release.name: release for release in _ALL}
"""By name."""
