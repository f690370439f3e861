"""Generation in order, block by block, with a cache; and, for comparison and for models without order, all at once.

Causality runs over the order of generation, not over time: what is given is committed to the cache first, at its own
time, so that a causal model can also arrive at given frames. Given slots in the future are committed when they are
near, so that a bounded cache does not lose them on the way.

Shape suffixes: B batch, C channels, F slots, H W latent size, S rows of a noise matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from kinemark.model.cache import CachePolicy, KVCache, within
from kinemark.sampling.flow import noised, per_slot
from kinemark.sampling.schedule import noise_matrix, shifted_sigmas
from kinemark.sampling.solvers import Step, Watcher, adams_bashforth, integrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from kinemark.model.configs import TransformerConfig
    from kinemark.sampling.conditions import Conditions
    from kinemark.sampling.flow import Denoiser


@dataclass(frozen=True, slots=True)
class Coarse:
    """How a coarse pass before the fine one is made (`sampling.coarse`).

    Attributes:
        factor: how much smaller its latents are on each side.
        shift: of its noise schedule; the scene is decided at high noise.
        sigma: the noise level at which the fine pass takes over.
        memory: what the cache of the fine pass keeps; its expert learns on shorter windows, for what is where is
            settled and what is left is local.
    """

    factor: int = 2
    shift: float = 4.0
    sigma: float = 0.4
    memory: CachePolicy = CachePolicy(window=4, sinks=1, place=within(5.0))  # noqa: RUF009  a frozen value


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """How latents are sampled. More steps do not make better clips of a small model: each adds to its errors.

    Attributes:
        first_steps: steps of a block that nothing precedes: it invents the scene. Also those of `sample_jointly`.
        steps: steps of every other block, which continues what is there.
        shift: of the noise schedule (`schedule.shifted_sigmas`).
        block_slots: slots that are denoised together; None: all at once, under full attention.
        history_sigma: noise level at which finished slots are committed, so that later ones do not trust their errors
            (Dreamer 4, arXiv 2509.24527, section 3.2). Given slots are committed as they are.
        horizon: how many slots ahead of a block a given slot may lie to be committed before it.
        solver: the step of the solver.
        cache: what the cache keeps of a long clip: by default the first slot, which shows the scene, and as many more
            as spark was trained to look back on, never further away than in training.
        coarse: how a model with a scene expert makes the pass that decides the scene on smaller latents.
    """

    first_steps: int = 8
    steps: int = 4
    shift: float = 1.0
    block_slots: int | None = 1
    history_sigma: float = 0.1
    horizon: float = 8.0
    solver: Step = adams_bashforth
    cache: CachePolicy = field(default_factory=lambda: CachePolicy(window=8, sinks=1, place=within(8.0)))
    coarse: Coarse = Coarse()

    def fitted(self, model: TransformerConfig) -> SamplerConfig:
        """The same, with the blocks that a model was trained for."""
        return replace(self, block_slots=model.block_slots)

    def scene_pass(self) -> SamplerConfig:
        """The sampler of the coarse pass."""
        return replace(self, shift=self.coarse.shift)

    def detail_pass(self) -> SamplerConfig:
        """The sampler of the pass after a coarse one: half the levels, as little is left to decide; its own memory."""
        return replace(
            self,
            first_steps=math.ceil(self.first_steps / 2),
            steps=math.ceil(self.steps / 2),
            cache=self.coarse.memory,
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Slots that are generated together, with their noise matrix; given slots have a matrix of one row: no steps."""

    slots: tuple[int, ...]
    sigma_SF: Tensor

    @property
    def steps(self) -> int:
        """How often the denoiser is asked about this block."""
        return len(self.sigma_SF) - 1


def plan(time_F: Tensor, cap_F: Tensor, config: SamplerConfig) -> tuple[Block, ...]:
    """The blocks of a clip in the order in which they are generated; given ones as soon as they are near enough."""
    size = config.block_slots
    if size is None:
        return (_block(range(len(cap_F)), cap_F, config.first_steps, config),)
    in_time = torch.argsort(time_F, stable=True).tolist()
    given = [slot for slot in in_time if cap_F[slot] == 0]
    blocks: list[Block] = []
    for slots in _runs([slot for slot in in_time if cap_F[slot] > 0], size):
        near = float(time_F[slots[-1]]) + config.horizon
        arrived = [slot for slot in given if time_F[slot] <= near]
        given = given[len(arrived) :]
        blocks += [_block(run, cap_F, 1, config) for run in _runs(arrived, size)]
        blocks.append(_block(slots, cap_F, config.steps if blocks else config.first_steps, config))
    return (*blocks, *(_block(run, cap_F, 1, config) for run in _runs(given, size)))


@torch.no_grad()
def stream(
    denoiser: Denoiser, conditions: Conditions, config: SamplerConfig, watch: Watcher | None = None
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Generate block by block, each seeing the cache of all before it; yield (slots, `latent_BCFHW`) as they are done.

    Given slots are yielded too, unchanged. The cache is bounded by `config.cache`; nothing else grows with the clip. A
    model without blocks is sampled jointly, and yields once.
    """
    if config.block_slots is None:
        yield tuple(range(len(conditions.cap_F))), sample_jointly(denoiser, conditions, config, watch)
        return
    cache = KVCache(config.cache)
    blocks = plan(conditions.time_F, conditions.cap_F, config)
    for index, block in enumerate(blocks):
        slots = list(block.slots)
        ask = partial(
            denoiser,
            text_BLD=conditions.text_BFLD[:, slots[0]],
            time_BF=conditions.time_F[slots].expand(len(conditions.known_BCFHW), -1),
            cache=cache,
            condition_BCFHW=conditions.beside(slots),
        )
        x_BCFHW = integrate(ask, _start(conditions, block), block.sigma_SF, config.solver, watch)
        yield block.slots, x_BCFHW
        if index + 1 < len(blocks):
            level_F = conditions.cap_F[slots].clamp(max=config.history_sigma)
            history_BCFHW = noised(x_BCFHW, conditions.history_noise_BCFHW[:, :, slots], per_slot(level_F))
            ask(history_BCFHW, level_F.expand(len(x_BCFHW), -1), write=True)


@torch.no_grad()
def sample_streaming(
    denoiser: Denoiser, conditions: Conditions, config: SamplerConfig, watch: Watcher | None = None
) -> Tensor:
    """All slots `[B, C, F, H, W]` of `stream`, in the order of `conditions`."""
    return gather(stream(denoiser, conditions, config, watch), conditions)


def gather(blocks: Iterable[tuple[tuple[int, ...], Tensor]], conditions: Conditions) -> Tensor:
    """Put the blocks of a stream at their places: all slots `[B, C, F, H, W]`, in the order of `conditions`."""
    latent_BCFHW = torch.empty_like(conditions.known_BCFHW)
    for slots, block_BCFHW in blocks:
        latent_BCFHW[:, :, list(slots)] = block_BCFHW
    return latent_BCFHW


@torch.no_grad()
def sample_jointly(
    denoiser: Denoiser, conditions: Conditions, config: SamplerConfig, watch: Watcher | None = None
) -> Tensor:
    """All slots `[B, C, F, H, W]` at once, without a cache, each at its level of one noise matrix.

    A model that was trained in blocks keeps its order of attention: given slots first, then the others in time.

    Raises:
        ValueError: the prompt changes during the clip, which only `stream` can follow.
    """
    if not torch.equal(conditions.text_BFLD, conditions.text_BFLD[:, :1].expand_as(conditions.text_BFLD)):
        raise ValueError("the prompt changes during the clip; joint sampling follows one prompt, use stream()")
    ask = partial(
        denoiser,
        text_BLD=conditions.text_BFLD[:, 0],
        time_BF=conditions.time_F.expand(len(conditions.known_BCFHW), -1),
        block_F=_ranks(conditions.time_F, conditions.cap_F, config),
        condition_BCFHW=conditions.beside(range(len(conditions.cap_F))),
    )
    everything = _block(range(len(conditions.cap_F)), conditions.cap_F, config.first_steps, config)
    return integrate(ask, _start(conditions, everything), everything.sigma_SF, config.solver, watch)


def _ranks(time_F: Tensor, cap_F: Tensor, config: SamplerConfig) -> Tensor | None:
    """For every slot, the number of its block in the order of generation, without regard to the horizon."""
    if config.block_slots is None:
        return None
    in_time = torch.argsort(time_F, stable=True).tolist()
    given = [slot for slot in in_time if cap_F[slot] == 0]
    made = [slot for slot in in_time if cap_F[slot] > 0]
    ranks_F = torch.empty(len(in_time), dtype=torch.long, device=time_F.device)
    for rank, slots in enumerate((*_runs(given, config.block_slots), *_runs(made, config.block_slots))):
        ranks_F[list(slots)] = rank
    return ranks_F


def _start(conditions: Conditions, block: Block) -> Tensor:
    slots = list(block.slots)
    return noised(conditions.known_BCFHW[:, :, slots], conditions.noise_BCFHW[:, :, slots], per_slot(block.sigma_SF[0]))


def _block(slots: Sequence[int], cap_F: Tensor, steps: int, config: SamplerConfig) -> Block:
    sigma_S = shifted_sigmas(steps, config.shift).to(cap_F.device)
    return Block(tuple(slots), noise_matrix(sigma_S, cap_F[list(slots)]))


def _runs(slots: Sequence[int], size: int) -> list[tuple[int, ...]]:
    """Cut slots into runs of neighbours, of at most `size`."""
    runs: list[tuple[int, ...]] = []
    for slot in slots:
        if runs and len(runs[-1]) < size and slot == runs[-1][-1] + 1:
            runs[-1] = (*runs[-1], slot)
        else:
            runs.append((slot,))
    return runs
