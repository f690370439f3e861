"""What a rollout remembers: the cache of what is done, and the slots themselves, so that they can be read again.

Shape suffixes: B batch, C channels, F slots, H W latent size, L tokens, D width of the text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from kinemark.model.cache import KVCache
from kinemark.sampling.conditions import Use
from kinemark.sampling.flow import noised, per_slot, read_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from kinemark.sampling.conditions import Conditions
    from kinemark.sampling.flow import Denoiser
    from kinemark.sampling.streaming import SamplerConfig


@dataclass(frozen=True, slots=True)
class Held:
    """Slots that are remembered: as they were read, with the noise level at which they were."""

    slots: tuple[int, ...]
    history_BCFHW: Tensor
    level_F: Tensor


class Memory:
    """The cache of one rollout, which follows its prompts."""

    def __init__(self, denoiser: Denoiser, conditions: Conditions, config: SamplerConfig, prompt_BLD: Tensor) -> None:
        self._denoiser, self._conditions, self._config = denoiser, conditions, config
        self._prompt_BLD = prompt_BLD
        self._text = read_by(denoiser, prompt_BLD)
        self.cache = KVCache(config.cache)
        self.held: list[Held] = []

    def turn_to(self, slots: Sequence[int]) -> None:
        """Get ready for slots that are to be made: follow their prompt, and rebuild the cache if it is to be."""
        prompt_BLD = self._conditions.text_BFLD[:, slots[0]]
        if not torch.equal(prompt_BLD, self._prompt_BLD):
            self._prompt_BLD = prompt_BLD
            self._text = read_by(self._denoiser, prompt_BLD)
            self._config.on_prompt(self)
        if self._config.rebuild:
            self._rebuild()

    def asking(self, slots: Sequence[int]) -> partial[Tensor]:
        """The denoiser, about these slots: everything but their latents and noise levels is filled in."""
        around = self._conditions.around(slots)
        around["cache"] = self.cache
        return partial(self._denoiser, text=self._text, **around)

    def commit(self, slots: tuple[int, ...], x_BCFHW: Tensor) -> None:
        """Remember finished slots, with a little noise unless they were given."""
        conditions = self._conditions
        level_F = conditions.cap_F[list(slots)].clamp(max=self._config.history_sigma)
        history_BCFHW = noised(x_BCFHW, conditions.noise(slots, Use.HISTORY), per_slot(level_F))
        self.held.append(Held(slots, history_BCFHW, level_F))
        if self._config.rebuild:
            while sum(len(one.slots) for one in self.held[1:]) >= self._config.rebuild:
                self.held.pop(0)
        else:
            self._read(self.held[-1])
            self.forget_dropped()

    def read_again(self) -> None:
        """Read all that is remembered once more, one after the other, under the present prompt."""
        self.cache = KVCache(self._config.cache)
        for one in self.held:
            self._read(one)

    def forget_dropped(self) -> None:
        """Let go of slots that the cache has dropped."""
        times = self.cache.times
        kept = set() if times is None else set(times[0].tolist())
        time_F = self._conditions.time_F
        self.held = [one for one in self.held if kept.intersection(time_F[list(one.slots)].tolist())]

    def _read(self, one: Held) -> None:
        self.asking(one.slots)(one.history_BCFHW, one.level_F.expand(len(one.history_BCFHW), -1), write=True)

    def _rebuild(self) -> None:
        """Read the last slots once more, all in one pass, each block seeing those before it."""
        self.cache = KVCache(self._config.cache)
        if not self.held:
            return
        slots = [slot for one in self.held for slot in one.slots][-self._config.rebuild :]
        rank = [rank for rank, one in enumerate(self.held) for _ in one.slots][-self._config.rebuild :]
        history_BCFHW = torch.cat([one.history_BCFHW for one in self.held], dim=2)[:, :, -self._config.rebuild :]
        level_F = torch.cat([one.level_F for one in self.held])[-self._config.rebuild :]
        block_F = torch.tensor(rank, device=level_F.device)
        self.asking(slots)(history_BCFHW, level_F.expand(len(history_BCFHW), -1), block_F=block_F, write=True)


OnPrompt = Callable[[Memory], None]
"""What a change of the prompt does; the memory follows the new prompt already."""


def reread(memory: Memory) -> None:
    """Read what is remembered again under the new prompt (LongLive, arXiv 2509.22622, section 3.2)."""
    memory.read_again()


def leave(memory: Memory) -> None:
    """Let everything stay as it was read."""


def pin(memory: Memory) -> None:
    """Begin a shot: what is made first under the new prompt is never dropped, in place of what was before.

    (LongLive 2.0's sinks of several shots; its jump in time between shots is not made.)
    """
    memory.cache.pin()


@dataclass(frozen=True, slots=True)
class Flush:
    """Forget everything but the first slots and the last ones (Infinity-RoPE, arXiv 2511.20649: KV flush)."""

    first: int
    last: int

    def __call__(self, memory: Memory) -> None:
        """Do so."""
        held = len(memory.cache)
        kept = [slot for slot in range(held) if slot < self.first or slot >= held - self.last]
        memory.cache.keep(kept)
        memory.forget_dropped()
