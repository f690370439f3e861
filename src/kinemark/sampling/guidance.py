"""Classifier-free guidance as a wrapper: what is guided is a `Denoiser` again.

Shape suffixes: B batch, C channels, F slots, H W latent size, L tokens, D width of the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Unpack

import torch
from einops import reduce
from torch import Tensor, distributed

from kinemark.sampling.flow import Around, Denoiser, Prompt, clean_from_velocity, denoiser_of, per_slot, read_by

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from kinemark.model.transformer import Transformer

#: How closely spark follows a prompt unless told otherwise.
GUIDANCE: Final = 2.75
#: How much spark takes of the part of guidance that points along its prediction (`Guided.along`).
ALONG: Final = 0.0


class Halves(Protocol):
    """How a denoiser is asked about a prompt and about the empty one."""

    def beside(self, text_BLD: Tensor, empty_BLD: Tensor) -> Prompt:
        """Both, unread, in the form that the other methods take."""

    def read(self, denoiser: Denoiser, both: Prompt) -> Prompt:
        """Both, as the denoiser reads them."""

    def ask(
        self, denoiser: Denoiser, x_BCFHW: Tensor, sigma_BF: Tensor, both: Prompt, around: Around
    ) -> tuple[Tensor, Tensor]:
        """The velocities under the prompt and under the empty one."""


@dataclass(frozen=True, slots=True)
class Together:
    """Both in one pass, as a batch: a cache then holds both halves of it."""

    def beside(self, text_BLD: Tensor, empty_BLD: Tensor) -> Prompt:
        """As one batch."""
        return torch.cat((text_BLD, empty_BLD))

    def read(self, denoiser: Denoiser, both: Prompt) -> Prompt:
        """As one batch."""
        return read_by(denoiser, both)

    def ask(
        self, denoiser: Denoiser, x_BCFHW: Tensor, sigma_BF: Tensor, both: Prompt, around: Around
    ) -> tuple[Tensor, Tensor]:
        """Asks once."""
        velocity_2BCFHW = denoiser(_twice(x_BCFHW), _twice(sigma_BF), both, **_both(around))
        conditional, unconditional = velocity_2BCFHW.chunk(2)
        return conditional, unconditional


@dataclass(frozen=True, slots=True)
class InTurn:
    """One after the other: half the memory of a step. There is no cache that could hold both."""

    def beside(self, text_BLD: Tensor, empty_BLD: Tensor) -> Prompt:
        """As two."""
        return text_BLD, empty_BLD

    def read(self, denoiser: Denoiser, both: Prompt) -> Prompt:
        """Each by itself."""
        return tuple(read_by(denoiser, one) for one in both)

    def ask(
        self, denoiser: Denoiser, x_BCFHW: Tensor, sigma_BF: Tensor, both: Prompt, around: Around
    ) -> tuple[Tensor, Tensor]:
        """Asks twice.

        Raises:
            ValueError: there is a cache.
        """
        if around.get("cache") is not None:
            raise ValueError("a cache holds what was made under one prompt; ask about both together")
        conditional, unconditional = (denoiser(x_BCFHW, sigma_BF, one, **around) for one in both)
        return conditional, unconditional


@dataclass(frozen=True, slots=True)
class Divided:
    """Each in other processes, which tell each other: half the time. Each process has a cache of its own half.

    Attributes:
        twins: this process and the one at the same place of the other half; the first has the prompt.
    """

    twins: ProcessGroup

    def beside(self, text_BLD: Tensor, empty_BLD: Tensor) -> Prompt:
        """This process's."""
        return empty_BLD if self.twins.rank() else text_BLD

    def read(self, denoiser: Denoiser, both: Prompt) -> Prompt:
        """This process's."""
        return read_by(denoiser, both)

    def ask(
        self, denoiser: Denoiser, x_BCFHW: Tensor, sigma_BF: Tensor, both: Prompt, around: Around
    ) -> tuple[Tensor, Tensor]:
        """Asks about its own, and exchanges it for the other."""
        own = denoiser(x_BCFHW, sigma_BF, both, **around).contiguous()
        conditional, unconditional = torch.empty_like(own), torch.empty_like(own)
        distributed.all_gather([conditional, unconditional], own, group=self.twins)
        return conditional, unconditional


TOGETHER: Final = Together()


def guided(
    transformer: Transformer, empty_LD: Tensor, scale: float, *, along: float = 1.0, halves: Halves = TOGETHER
) -> Denoiser:
    """A transformer as a `Denoiser` that follows the prompt so closely; at a scale of 1 one pass does.

    Args:
        transformer: with whatever raw output.
        empty_LD: the tokens of the empty prompt.
        scale: as in `Guided`.
        along: as in `Guided`.
        halves: as in `Guided`.
    """
    denoiser = denoiser_of(transformer)
    return denoiser if scale == 1 else Guided(denoiser, empty_LD, scale, along=along, halves=halves)


@dataclass(frozen=True, slots=True)
class Guided:
    """conditional + (scale - 1) (conditional - unconditional) (arXiv 2207.12598, equation 6).

    The part of the difference that points along the conditional prediction of the clean slot makes that stronger and
    nothing else: contrast and colours grow, and where each slot continues the one before, they grow from slot to slot.
    Adaptive projected guidance takes less of it (Sadat et al., arXiv 2410.02416, equations 5 to 8, whose momentum and
    bound are left out here).

    Attributes:
        denoiser: what is guided.
        empty_LD: the tokens of the empty prompt.
        scale: 1 is the prompt alone; more follows it more closely, at the cost of variety.
        interval: noise levels (low, high) at which guidance is on (Kynkaanniemi et al., arXiv 2404.07724); at others
            a slot takes the conditional velocity.
        along: share of that part which is taken; 1 is classifier-free guidance, 0 takes only what is across.
        halves: how it is asked about both prompts.
    """

    denoiser: Denoiser
    empty_LD: Tensor
    scale: float
    interval: tuple[float, float] = (0.0, 1.0)
    along: float = 1.0
    halves: Halves = TOGETHER

    def __call__(self, x_BCFHW: Tensor, sigma_BF: Tensor, text: Prompt, **around: Unpack[Around]) -> Tensor:
        """The guided velocity of every slot."""
        both = self._beside_empty(text) if isinstance(text, Tensor) else text
        conditional, unconditional = self.halves.ask(self.denoiser, x_BCFHW, sigma_BF, both, around)
        low, high = self.interval
        on_BF = (sigma_BF >= low) & (sigma_BF <= high)
        more_BF = torch.where(on_BF, self.scale - 1, 0.0)
        difference = conditional - unconditional
        if self.along != 1:
            clean = clean_from_velocity(x_BCFHW, conditional, per_slot(sigma_BF))
            difference = difference - (1 - self.along) * _part_along(difference, clean)
        return conditional + per_slot(more_BF) * difference

    def read(self, text_BLD: Tensor) -> Prompt:
        """As its denoiser reads a prompt and the empty one."""
        return self.halves.read(self.denoiser, self._beside_empty(text_BLD))

    def _beside_empty(self, text_BLD: Tensor) -> Prompt:
        return self.halves.beside(text_BLD, self.empty_LD.expand_as(text_BLD))


def _part_along(x_BCFHW: Tensor, direction_BCFHW: Tensor) -> Tensor:
    """The part of each slot that points along (or against) its direction."""
    inner, square = (
        reduce(product, "B C F H W -> B 1 F 1 1", "sum")
        for product in (x_BCFHW * direction_BCFHW, direction_BCFHW.square())
    )
    return inner / square.clamp(min=torch.finfo(square.dtype).tiny) * direction_BCFHW


def _both(around: Around) -> Around:
    """What both halves of the batch are denoised among."""
    time_BF, condition_BCFHW = around.get("time_BF"), around.get("condition_BCFHW")
    both = Around(**around)
    if time_BF is not None and time_BF.ndim == 2:
        both["time_BF"] = _twice(time_BF)
    if condition_BCFHW is not None:
        both["condition_BCFHW"] = _twice(condition_BCFHW)
    return both


def _twice(x_B: Tensor) -> Tensor:
    return torch.cat((x_B, x_B))
