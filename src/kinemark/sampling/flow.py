"""Flow matching: the one place that says what noise is.

    x = (1 - sigma) clean + sigma noise        velocity = dx/dsigma = noise - clean

sigma is 1 for pure noise and 0 for clean latents (the rectified flow of arXiv 2209.03003, with time running backwards;
Wan's convention, whose t is 1000 sigma). Everything that is sampled is a `Denoiser`: it answers with a velocity.

Shape suffixes: B batch, C channels, F slots, H W latent size, L tokens, D width of the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypedDict, Unpack, cast

from einops import rearrange
from torch import Tensor

from kinemark.model.configs import TIMESTEPS

if TYPE_CHECKING:
    from kinemark.model.cache import KVCache
    from kinemark.model.transformer import Transformer

#: A clean prediction is divided by sigma; a slot that is (nearly) clean has no direction to go, and this bounds it.
SIGMA_FLOOR: Final = 1e-3


def per_slot(sigma_BF: Tensor) -> Tensor:
    """Noise levels of slots, `[B, F]` or `[F]`, in a shape that broadcasts over latents `[B, C, F, H, W]`."""
    return rearrange(sigma_BF, "... F -> ... 1 F 1 1")


def noised(clean: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """Mix noise in: (1 - sigma) clean + sigma noise. `sigma` in [0, 1] broadcasts (see `per_slot`)."""
    return (1 - sigma) * clean + sigma * noise


def velocity_from_clean(x: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """The velocity at x if its clean end is `clean`: (x - clean) / sigma, with sigma at least `SIGMA_FLOOR`."""
    return (x - clean) / sigma.clamp(min=SIGMA_FLOOR)


def clean_from_velocity(x: Tensor, velocity: Tensor, sigma: Tensor | float) -> Tensor:
    """Where x ends if it goes on straight: x - sigma velocity."""
    return x - sigma * velocity


class Around(TypedDict, total=False):
    """What slots are denoised among; each as in `Transformer.forward`."""

    time_BF: Tensor | None
    block_F: Tensor | None
    cache: KVCache | None
    write: bool
    condition_BCFHW: Tensor | None
    image_BKI: Tensor | None


Prompt = Any
"""A prompt's tokens `[B, L, D]`, or what a denoiser has read of them, which is its own affair."""


class Denoiser(Protocol):
    """What a sampler can sample: a network, or a wrapper of one, that answers with the velocity."""

    def __call__(self, x_BCFHW: Tensor, sigma_BF: Tensor, text: Prompt, **around: Unpack[Around]) -> Tensor:
        """The velocity `[B, C, F, H, W]` of slots, each at its level; arguments as in `Transformer.forward`."""


class Reader(Protocol):
    """A denoiser that can read a prompt once for many steps."""

    def read(self, text_BLD: Tensor) -> Prompt:
        """What stands for the tokens in calls from now on."""


def read_by(denoiser: Denoiser, text_BLD: Tensor) -> Prompt:
    """What a denoiser reads of a prompt, or the tokens themselves if it reads them at every step."""
    return cast("Reader", denoiser).read(text_BLD) if hasattr(denoiser, "read") else text_BLD


@dataclass(frozen=True, slots=True)
class CleanPredictor:
    """A network that predicts clean latents, as a `Denoiser`."""

    network: Denoiser

    def __call__(self, x_BCFHW: Tensor, sigma_BF: Tensor, text: Prompt, **around: Unpack[Around]) -> Tensor:
        """The velocity towards the clean latents that the network predicts."""
        clean_BCFHW = self.network(x_BCFHW, sigma_BF, text, **around)
        return velocity_from_clean(x_BCFHW, clean_BCFHW, per_slot(sigma_BF))

    def read(self, text_BLD: Tensor) -> Prompt:
        """As its network reads it."""
        return read_by(self.network, text_BLD)


@dataclass(frozen=True, slots=True)
class WholeTimesteps:
    """A network that is told noise levels in whole thousandths, rounded down: as Wan's pipelines tell them."""

    network: Denoiser

    def __call__(self, x_BCFHW: Tensor, sigma_BF: Tensor, text: Prompt, **around: Unpack[Around]) -> Tensor:
        """The velocity that the network gives at the whole timestep."""
        return self.network(x_BCFHW, (TIMESTEPS * sigma_BF.double()).floor() / TIMESTEPS, text, **around)

    def read(self, text_BLD: Tensor) -> Prompt:
        """As its network reads it."""
        return read_by(self.network, text_BLD)


@dataclass(frozen=True, slots=True)
class Switched:
    """Two experts for ranges of noise (Wan 2.2 A14B; eDiff-I, arXiv 2211.01324).

    Attributes:
        high: answers where any slot is at `boundary` or above.
        low: answers where all are below.
        boundary: a noise level.
    """

    high: Denoiser
    low: Denoiser
    boundary: float

    def __call__(self, x_BCFHW: Tensor, sigma_BF: Tensor, text: Prompt, **around: Unpack[Around]) -> Tensor:
        """The velocity of whichever expert is responsible."""
        turn = 0 if float(sigma_BF.max()) >= self.boundary else 1
        own = text if isinstance(text, Tensor) else text[turn]
        return (self.high, self.low)[turn](x_BCFHW, sigma_BF, own, **around)

    def read(self, text_BLD: Tensor) -> Prompt:
        """As each of the experts reads it."""
        return read_by(self.high, text_BLD), read_by(self.low, text_BLD)


def denoiser_of(transformer: Transformer) -> Denoiser:
    """A transformer as a `Denoiser`, whatever its raw output is (`config.predicts`)."""
    return CleanPredictor(transformer) if transformer.config.predicts == "clean" else transformer
