"""Generation in order, block by block, with a cache; and, for comparison and for models without order, all at once.

Causality runs over the order of generation (`sampling.order`), not over time: what is given is committed to the cache
when it is near, at its own time, so that a causal model can also arrive at given frames, or make what led to them.

Shape suffixes: B batch, C channels, F slots, H W latent size, S rows of a noise matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from kinemark.errors import RequestError
from kinemark.model.cache import CachePolicy, within
from kinemark.sampling.conditions import Use
from kinemark.sampling.flow import noised, per_slot, read_by
from kinemark.sampling.memory import Memory, OnPrompt, reread
from kinemark.sampling.order import Run, in_order, ranks
from kinemark.sampling.reuse import Reusing
from kinemark.sampling.schedule import Schedule, Shifted, noise_matrix, shifted_sigmas
from kinemark.sampling.solvers import Step, Watcher, adams_bashforth, integrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor

    from kinemark.model.configs import TransformerConfig
    from kinemark.sampling.conditions import Conditions
    from kinemark.sampling.flow import Denoiser


MAX_STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Coarse:
    """How a coarse pass before the fine one is made (`sampling.coarse`).

    Attributes:
        factor: how much smaller its latents are on each side.
        shift: of its noise schedule; the scene is decided at high noise.
        sigma: the noise level at which the fine pass takes over.
        memory: what the cache of the fine pass keeps, as in `SamplerConfig.cache`.
    """

    factor: int = 2
    shift: float = 4.0
    sigma: float = 0.4
    memory: CachePolicy = CachePolicy(window=1, place=within(5.0))  # noqa: RUF009  a frozen value


@dataclass(frozen=True, slots=True)
class SamplerConfig:
    """How latents are sampled. More steps do not make better clips of a small model: each adds to its errors.

    Attributes:
        first_steps: steps of a block that nothing precedes: it invents the scene. Also those of `sample_jointly`.
        steps: steps of every other block, which continues what is there.
        schedule: the levels of so many steps.
        block_slots: slots that are denoised together; None: all at once, under full attention.
        history_sigma: noise level at which finished slots are committed, so that later ones do not trust their errors
            (Dreamer 4, arXiv 2509.24527, section 3.2). Given slots are committed as they are.
        horizon: how many slots from a block a given slot may lie to be committed before it.
        ahead: how many given slots beyond a block are committed before it.
        on_prompt: what a change of the prompt does to what is remembered.
        rebuild: so many of the last slots are read again, together, before every block, and are all that is remembered
            (Krea Realtime); 0: what is read once stays.
        joint_blocks: so many blocks are denoised together, each a level behind the one before it (Rolling Forcing,
            arXiv 2509.25161, section 3.2); needs a solver that leaves nothing from step to step.
        solver: the step of the solver.
        reuse: how far a velocity may be foretold to be off for the last one to be used again (`sampling.reuse`); 0:
            every step asks.
        cache: what the cache keeps of a long clip: by default nothing but the slot before. spark was trained to look
            back on eight, and with those a minute drifts twice as far: each adds its own errors (docs/log.md).
        coarse: how a model with a scene expert makes the pass that decides the scene on smaller latents.
    """

    first_steps: int = 8
    steps: int = 4
    schedule: Schedule = Shifted()  # noqa: RUF009  a frozen value
    block_slots: int | None = 1
    history_sigma: float = 0.1
    horizon: float = 8.0
    ahead: int = 2
    on_prompt: OnPrompt = reread
    rebuild: int = 0
    joint_blocks: int = 1
    solver: Step = adams_bashforth
    reuse: float = 0.0
    cache: CachePolicy = field(default_factory=lambda: CachePolicy(window=1, place=within(8.0)))
    coarse: Coarse = Coarse()

    def fitted(self, model: TransformerConfig) -> SamplerConfig:
        """The same, with the blocks that a model was trained for."""
        return replace(self, block_slots=model.block_slots)

    def scene_pass(self) -> SamplerConfig:
        """The sampler of the coarse pass."""
        return replace(self, schedule=Shifted(self.coarse.shift))

    def detail_pass(self) -> SamplerConfig:
        """The sampler of the pass after a coarse one: half the levels, as little is left to decide; its own memory."""
        return replace(
            self,
            first_steps=math.ceil(self.first_steps / 2),
            steps=math.ceil(self.steps / 2),
            cache=self.coarse.memory,
        )


def with_steps(default: SamplerConfig, steps: int | None) -> SamplerConfig:
    """A sampler with so many steps of the first block, and at most so many of each later one; None: as it is.

    Raises:
        RequestError: the number is out of range, or the model was distilled to another.
    """
    if steps is None:
        return default
    if not (isinstance(steps, int) and 1 <= steps <= MAX_STEPS):
        raise RequestError(f"steps is {steps}; give a whole number from 1 to {MAX_STEPS}")
    asked = replace(default, first_steps=steps, steps=min(default.steps, steps))
    try:
        for count in (asked.first_steps, asked.steps):
            asked.schedule(count)
    except ValueError as error:
        raise RequestError(f"{error}; leave --steps out") from error
    return asked


@dataclass(frozen=True, slots=True)
class Block:
    """Slots that are generated together, with their noise matrix; given slots have a matrix of one row: no steps.

    `commits` says whether anything that comes later looks at them.
    """

    slots: tuple[int, ...]
    sigma_SF: Tensor
    commits: bool

    @property
    def steps(self) -> int:
        """How often the denoiser is asked about this block."""
        return len(self.sigma_SF) - 1


def plan(time_F: Tensor, cap_F: Tensor, config: SamplerConfig) -> tuple[Block, ...]:
    """The blocks of a clip in the order in which they are generated."""
    size = config.block_slots
    if size is None:
        return (_block(Run(tuple(range(len(cap_F))), given=False, seen=False), cap_F, config.first_steps, config),)
    runs = in_order(
        time_F.tolist(),
        (cap_F == 0).tolist(),
        size,
        horizon=config.horizon,
        ahead=config.ahead,
        sinks=config.cache.sinks,
    )
    return tuple(
        _block(run, cap_F, config.steps if any(one.seen for one in runs[:index]) else config.first_steps, config)
        for index, run in enumerate(runs)
    )


@torch.no_grad()
def stream(
    denoiser: Denoiser, conditions: Conditions, config: SamplerConfig, watch: Watcher | None = None
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Generate block by block, each seeing the cache of all before it; yield (slots, `latent_BCFHW`) as they are done.

    Given slots are yielded too, unchanged. Nothing grows with the clip: the cache is bounded by `config.cache`. A model
    without blocks is sampled jointly, and yields once.
    """
    if config.block_slots is None:
        yield tuple(range(len(conditions.cap_F))), sample_jointly(denoiser, conditions, config, watch)
        return
    blocks = plan(conditions.time_F, conditions.cap_F, config)
    memory = Memory(denoiser, conditions, config, conditions.text_BFLD[:, blocks[0].slots[0]])
    if config.joint_blocks > 1:
        yield from _rolling(memory, conditions, config, blocks, watch)
        return
    for block in blocks:
        if block.steps:
            memory.turn_to(block.slots)
        x_BCFHW = _solve(memory.asking(block.slots), conditions, block, config, watch)
        if block.commits:
            memory.commit(block.slots, x_BCFHW)
        yield block.slots, x_BCFHW


def _rolling(
    memory: Memory, conditions: Conditions, config: SamplerConfig, blocks: Sequence[Block], watch: Watcher | None
) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Generate with several blocks under way, a step for all of them at a time; whichever is clean leaves.

    What is given is remembered first; a clip of this kind goes on from it.
    """
    for block in blocks:
        if not block.steps:
            latent_BCFHW = conditions.known(block.slots)
            memory.commit(block.slots, latent_BCFHW)
            yield block.slots, latent_BCFHW
    waiting = [block for block in blocks if block.steps]
    under_way: list[tuple[Block, int, Tensor]] = []
    while waiting or under_way:
        if waiting and len(under_way) < config.joint_blocks:
            under_way.append((waiting[0], 0, _start(conditions, waiting.pop(0))))
        under_way = _one_step_for_all(memory, conditions, config, under_way, watch)
        block, level, latent_BCFHW = under_way[0]
        if level == block.steps:
            under_way.pop(0)
            memory.commit(block.slots, latent_BCFHW)
            yield block.slots, latent_BCFHW


def _one_step_for_all(
    memory: Memory,
    conditions: Conditions,
    config: SamplerConfig,
    under_way: Sequence[tuple[Block, int, Tensor]],
    watch: Watcher | None,
) -> list[tuple[Block, int, Tensor]]:
    slots = tuple(slot for block, _, _ in under_way for slot in block.slots)
    sigma_SF = torch.cat([block.sigma_SF[level : level + 2] for block, level, _ in under_way], dim=1)
    memory.turn_to(slots)

    def fresh(_step: int) -> Tensor:
        return torch.cat([conditions.noise(block.slots, Use.AGAIN + level) for block, level, _ in under_way], dim=2)

    x_BCFHW = torch.cat([latent_BCFHW for _, _, latent_BCFHW in under_way], dim=2)
    x_BCFHW = integrate(memory.asking(slots), x_BCFHW, sigma_SF, config.solver, fresh, watch)
    parts = torch.split(x_BCFHW, [len(block.slots) for block, _, _ in under_way], dim=2)
    return [(block, level + 1, part) for (block, level, _), part in zip(under_way, parts, strict=True)]


@torch.no_grad()
def sample_streaming(
    denoiser: Denoiser, conditions: Conditions, config: SamplerConfig, watch: Watcher | None = None
) -> Tensor:
    """All slots `[B, C, F, H, W]` of `stream`, in the order of `conditions`."""
    return gather(stream(denoiser, conditions, config, watch), conditions)


def gather(blocks: Iterable[tuple[tuple[int, ...], Tensor]], conditions: Conditions) -> Tensor:
    """Put the blocks of a stream at their places: all slots `[B, C, F, H, W]`, in the order of `conditions`."""
    latent_BCFHW = torch.empty(conditions.shape, device=conditions.text_BFLD.device)
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
    slots = tuple(range(len(conditions.cap_F)))
    block_F = None
    if config.block_slots is not None:
        block_F = torch.tensor(
            ranks(conditions.time_F.tolist(), (conditions.cap_F == 0).tolist(), config.block_slots),
            device=conditions.text_BFLD.device,
        )
    text = read_by(denoiser, conditions.text_BFLD[:, 0])
    around = conditions.around(slots)
    around["block_F"] = block_F
    ask = partial(denoiser, text=text, **around)
    everything = _block(Run(slots, given=False, seen=False), conditions.cap_F, config.first_steps, config)
    return _solve(ask, conditions, everything, config, watch)


def _solve(
    ask: partial[Tensor], conditions: Conditions, block: Block, config: SamplerConfig, watch: Watcher | None
) -> Tensor:
    def fresh(step: int) -> Tensor:
        return conditions.noise(block.slots, Use.AGAIN + step)

    def made() -> Tensor:
        velocity = Reusing(ask, config.reuse) if config.reuse else ask
        return integrate(velocity, _start(conditions, block), block.sigma_SF, config.solver, fresh, watch)

    return conditions.recall(block.slots, block.steps, made) if block.steps else made()


def _start(conditions: Conditions, block: Block) -> Tensor:
    noise_BCFHW = conditions.noise(block.slots, Use.START)
    if bool((conditions.cap_F[list(block.slots)] == 1).all()):
        return per_slot(block.sigma_SF[0]) * noise_BCFHW
    return noised(conditions.known(block.slots), noise_BCFHW, per_slot(block.sigma_SF[0]))


def _block(run: Run, cap_F: Tensor, steps: int, config: SamplerConfig) -> Block:
    sigma_S = shifted_sigmas(1) if run.given else config.schedule(steps)
    return Block(run.slots, noise_matrix(sigma_S.to(cap_F.device), cap_F[list(run.slots)]), run.seen)
