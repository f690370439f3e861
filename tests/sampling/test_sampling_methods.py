"""Every published method against a reference that has no cache: it computes everything anew, for every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kinemark.model.cache import CachePolicy
from kinemark.model.kernels import attend, rotary_table, rotate
from kinemark.model.transformer import Transformer
from kinemark.sampling.conditions import Conditions, Use, stored
from kinemark.sampling.flow import clean_from_velocity, noised, per_slot
from kinemark.sampling.memory import pin
from kinemark.sampling.methods import METHODS
from kinemark.sampling.solvers import Moment, Past
from kinemark.sampling.streaming import SamplerConfig, sample_streaming, stream
from wan_like import WAN_LIKE, randomised

CAUSAL = [name for name, sampler in METHODS.items() if sampler.block_slots]
SLOTS = 27
SIZE = (4, 4)
GRID = (2, 2)
TOKENS = 4


@dataclass(frozen=True)
class Read:
    """Slots as they are read in one pass of the network: `sees` are reads before it, placed at `placed` in time."""

    x_BCFHW: Tensor
    level_F: Tensor
    time_F: Tensor
    sees: tuple[tuple[int, int], ...]
    """(number of a read, slot in it) of everything that is attended to beside its own slots."""
    placed: tuple[float, ...]
    """Where in time those, and then its own slots, are placed."""


@torch.no_grad()
def without_cache(model: Transformer, reads: Sequence[Read], text_BLD: Tensor) -> Tensor:
    """The output for the last read: all reads go through the network side by side, layer by layer."""
    levels, noises, streams = [], [], []
    text = model.text_embedding(text_BLD)
    for read in reads:
        level_BFD, noise_BF6D = model._embed_noise(read.level_F[None], None)
        levels.append(level_BFD)
        noises.append(noise_BF6D)
        streams.append(model.patch_embedding(read.x_BCFHW))
    for block in model.blocks:
        own = block.self_attn
        kept, updated = [], []
        for x_BLD, noise_BF6D in zip(streams, noises, strict=True):
            shift, scale, *_ = (block.modulation + noise_BF6D).repeat_interleave(TOKENS, dim=1).unbind(2)
            inner = functional.layer_norm(x_BLD, x_BLD.shape[-1:], eps=block.eps) * (1 + scale) + shift
            kept.append(
                (own._split(own.norm_q(own.q(inner))), own._split(own.norm_k(own.k(inner))), own._split(own.v(inner)))
            )
        for read, x_BLD, noise_BF6D, (q, k, v) in zip(reads, streams, noises, kept, strict=True):
            tables = rotary_table(model.config, torch.tensor(read.placed)[None], GRID)
            past = len(read.sees) * TOKENS
            slot = [slice(place * TOKENS, (place + 1) * TOKENS) for _, place in read.sees]
            keys = torch.cat([*(kept[n][1][:, :, s] for (n, _), s in zip(read.sees, slot, strict=True)), k], dim=2)
            values = torch.cat([*(kept[n][2][:, :, s] for (n, _), s in zip(read.sees, slot, strict=True)), v], dim=2)
            attended = own._merge(attend(rotate(q, tables[:, :, past:]), rotate(keys, tables), values))
            rows = (block.modulation + noise_BF6D).repeat_interleave(TOKENS, dim=1).unbind(2)
            x_BLD = x_BLD + rows[2] * attended
            x_BLD = x_BLD + block.cross_attn(block.norm3(x_BLD), block.cross_attn.keys_of(text))
            updated.append(
                x_BLD
                + rows[5]
                * block.ffn(functional.layer_norm(x_BLD, x_BLD.shape[-1:], eps=block.eps) * (1 + rows[4]) + rows[3])
            )
        streams = updated
    out_BLE = model.head(streams[-1], levels[-1])
    x = reads[-1].x_BCFHW
    patches = out_BLE.view(1, x.shape[2], *GRID, 2, 2, x.shape[1])
    return patches.permute(0, 6, 1, 2, 4, 3, 5).reshape(x.shape)


class Naive:
    """What a method remembers, as lists: what a block sees is worked out anew each time."""

    def __init__(self, model: Transformer, sampler: SamplerConfig, conditions: Conditions) -> None:
        self.model, self.sampler, self.conditions = model, sampler, conditions
        self.reads: list[Read] = []
        self.held: list[tuple[int, int]] = []

    def time_of(self, one: tuple[int, int]) -> float:
        return float(self.reads[one[0]].time_F[one[1]])

    def read(self, slots: Sequence[int], x_BCFHW: Tensor, level_F: Tensor) -> Read:
        past_BF = torch.tensor([[self.time_of(one) for one in self.held]])
        new_BF = torch.tensor([[float(slot) for slot in slots]])
        policy = self.sampler.cache
        placed = torch.cat(policy.place(past_BF.reshape(1, -1), new_BF, policy.sinks), dim=1)[0]
        return Read(x_BCFHW, level_F, new_BF[0], tuple(self.held), tuple(placed.tolist()))

    def velocity(self, slots: Sequence[int], x_BCFHW: Tensor, level_F: Tensor) -> Tensor:
        reads = [*self.reads, self.read(slots, x_BCFHW, level_F)]
        return without_cache(self.model, reads, self.conditions.text_BFLD[:, slots[0]])

    def commit(self, slots: Sequence[int], x_BCFHW: Tensor) -> None:
        self.reads.append(self.read(slots, x_BCFHW, torch.zeros(len(slots))))
        self.held += [(len(self.reads) - 1, place) for place in range(len(slots))]
        policy = self.sampler.cache
        assert policy.window is not None
        self.held = self.held[: policy.sinks] + self.held[policy.sinks :][-policy.window :]

    def rebuild(self, made: dict[int, Tensor], before: int) -> None:
        """Read the last slots again, which are a block, and nothing else."""
        self.reads, self.held = [], []
        slots = range(max(0, before - self.sampler.rebuild), before)
        self.commit(slots, torch.cat([made[slot] for slot in slots], dim=2))


def naive_blocks(model: Transformer, conditions: Conditions, sampler: SamplerConfig) -> Tensor:
    """One block after the other."""
    naive, made = Naive(model, sampler, conditions), {}
    assert sampler.block_slots
    for first in range(0, SLOTS, sampler.block_slots):
        slots = range(first, min(first + sampler.block_slots, SLOTS))
        sigma_S = sampler.schedule(sampler.steps if first else sampler.first_steps)
        noise = partial(conditions.noise, slots)
        x = sigma_S[0] * noise(Use.START)
        past: Past | None = None
        for number, (sigma, after) in enumerate(pairwise(sigma_S)):
            level_F, after_F = sigma.expand(len(slots)), after.expand(len(slots))
            velocity = naive.velocity(slots, x, level_F)
            fresh = partial(noise, Use.AGAIN + number)
            x, past = sampler.solver(Moment(x, velocity, level_F, after_F, past, fresh))
        made |= dict(zip(slots, x.split(1, dim=2), strict=True))
        if sampler.rebuild:
            naive.rebuild(made, slots[-1] + 1)
        else:
            naive.commit(slots, x)
    return torch.cat([made[slot] for slot in range(SLOTS)], dim=2)


def naive_rolling(model: Transformer, conditions: Conditions, sampler: SamplerConfig) -> Tensor:
    """Window after window: block b is at level w - b in window w."""
    naive, made = Naive(model, sampler, conditions), {}
    size, sigma_S = sampler.block_slots, sampler.schedule(sampler.steps)
    assert size
    blocks = [range(first, min(first + size, SLOTS)) for first in range(0, SLOTS, size)]
    x = {block: conditions.noise(block, Use.START) for block in blocks}
    for window in range(len(blocks) + sampler.steps - 1):
        under_way = [(b, window - b) for b in range(len(blocks)) if 0 <= window - b < sampler.steps]
        slots = [slot for b, _ in under_way for slot in blocks[b]]
        level_F = torch.cat([sigma_S[level].expand(len(blocks[b])) for b, level in under_way])
        latent = torch.cat([x[blocks[b]] for b, _ in under_way], dim=2)
        clean = clean_from_velocity(latent, naive.velocity(slots, latent, level_F), per_slot(level_F))
        for b, level in under_way:
            part, clean = clean[:, :, : len(blocks[b])], clean[:, :, len(blocks[b]) :]
            x[blocks[b]] = noised(part, conditions.noise(blocks[b], Use.AGAIN + level), sigma_S[level + 1])
        done, level = under_way[0]
        if level == sampler.steps - 1:
            naive.commit(blocks[done], x[blocks[done]])
            made |= dict(zip(blocks[done], x[blocks[done]].split(1, dim=2), strict=True))
    return torch.cat([made[slot] for slot in range(SLOTS)], dim=2)


@pytest.fixture(scope="module")
def model() -> Transformer:
    return randomised(replace(WAN_LIKE, layers=2), scale=0.15)


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    generator = torch.Generator().manual_seed(3)
    return Conditions.from_text(torch.randn(1, 6, 8, generator=generator), [5], (4, SLOTS, *SIZE))


@pytest.mark.parametrize("name", CAUSAL)
@torch.no_grad()
def test_every_causal_method_equals_its_reference(name: str, model: Transformer, conditions: Conditions) -> None:
    sampler = METHODS[name]
    naive = naive_rolling if sampler.joint_blocks > 1 else naive_blocks
    expected = naive(model, conditions, sampler)
    torch.testing.assert_close(sample_streaming(model, conditions, sampler), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in CAUSAL])
@torch.no_grad()
def test_the_others_make_all_slots_at_once(name: str, model: Transformer, conditions: Conditions) -> None:
    short = conditions.part(range(3))
    (slots, latent), *rest = stream(model, short, METHODS[name])
    assert slots == (0, 1, 2)
    assert not rest
    assert latent.isfinite().all()


#: Name of the method -> levels of a block after the first, in timesteps, and the remembered slots that it then sees.
PUBLISHED = {
    "self-forcing": ([1000, 937.5, 833.33, 625], 18),
    "causal-forcing-2-step": ([1000, 833.33], 20),
    "rolling-forcing": ([1000, 952.38, 882.35, 769.23, 555.56], 6),
    "causvid": ([1000, 757, 522], 18),
    "streamdiffusion-v2": ([1000, 750, 500, 250], 18),
    "longlive": ([1000, 937.5, 833.33, 625], 9),
    "longlive-2": ([1000, 937.5, 833.33, 625.0], 24),
    "infinity-rope": ([1000, 937.5, 833.33, 625], 3),
    "krea-realtime": ([1000, 937.5, 833.33, 625], 3),
    "rcm": ([987.65, 933.78, 852.95, 608.98], None),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers(name: str) -> None:
    timesteps, remembered = PUBLISHED[name]
    sampler = METHODS[name]
    levels = 1000 * sampler.schedule(sampler.steps)
    torch.testing.assert_close(levels, torch.tensor([*timesteps, 0.0]), atol=1.5, rtol=0)
    if remembered is not None:
        assert sampler.cache.window is not None
        assert sampler.cache.window + sampler.cache.sinks == remembered


@torch.no_grad()
def test_memory_is_flat_once_the_window_is_full(model: Transformer) -> None:
    """64 blocks of three slots with a window of 12: nothing grows after the fourth block."""
    sampler = METHODS["longlive"]
    conditions = Conditions.from_text(torch.randn(1, 6, 8), [5], (4, 3 * 64, *SIZE))
    held: list[int] = []

    def spy(x: Tensor, sigma: Tensor, **around: Any) -> Tensor:
        answer = model(x, sigma, **around)
        held.append(around["cache"].nbytes)
        return answer

    assert sum(len(slots) for slots, _ in stream(spy, conditions, sampler)) == 3 * 64
    assert held[4 * 5] > 0
    assert len(set(held[4 * 5 :])) == 1


def seen_under_two_prompts(model: Transformer, conditions: Conditions, sampler: SamplerConfig) -> dict[float, list]:
    """What is remembered when the block of each time is made; the prompt changes at 12."""
    text_BFLD = conditions.text_BFLD.clone()
    text_BFLD[:, 12:] = -text_BFLD[:, 12:]
    seen: dict[float, list[float]] = {}

    def spy(x: Tensor, sigma: Tensor, **around: Any) -> Tensor:
        times = around["cache"].times
        seen[float(around["time_BF"][0, 0])] = [] if times is None else times[0].tolist()
        return model(x, sigma, **around)

    list(stream(spy, replace(conditions, text_BFLD=text_BFLD), sampler))
    return seen


@torch.no_grad()
def test_a_flush_keeps_the_first_slots_and_the_last(model: Transformer, conditions: Conditions) -> None:
    sampler = replace(METHODS["infinity-rope"], cache=CachePolicy(window=6, sinks=1))
    seen = seen_under_two_prompts(model, conditions, sampler)
    assert seen[9.0] == [0, 3, 4, 5, 6, 7, 8]
    assert seen[12.0] == [0, 10, 11]
    assert seen[15.0] == [0, 10, 11, 12, 13, 14]


@torch.no_grad()
def test_a_shot_has_sinks_of_its_own(model: Transformer, conditions: Conditions) -> None:
    """Those of the shot before leave as the window does."""
    sampler = replace(METHODS["longlive"], cache=CachePolicy(window=6, sinks=2), on_prompt=pin)
    seen = seen_under_two_prompts(model, conditions, sampler)
    assert seen[12.0] == [0, 1, 6, 7, 8, 9, 10, 11]
    assert seen[15.0] == [7, 8, 9, 10, 11, 12, 13, 14]
    assert seen[18.0] == [10, 11, 12, 13, 14, 15, 16, 17]
    assert seen[24.0] == [12, 13, 18, 19, 20, 21, 22, 23]


@torch.no_grad()
def test_a_rolling_clip_goes_on_from_what_is_given(model: Transformer, conditions: Conditions) -> None:
    """The first block is given: it is kept, and what follows depends on it."""
    sampler, short = METHODS["rolling-forcing"], conditions.part(range(12))
    cap_F = torch.ones(12)
    cap_F[:3] = 0
    ends = []
    for value in (0.5, -0.5):
        given = replace(short, cap_F=cap_F, known=stored(torch.full(short.shape, value)))
        ends.append(sample_streaming(model, given, sampler))
        assert (ends[-1][:, :, :3] == value).all()
    assert (ends[0] - ends[1])[:, :, 3:].abs().amax(dim=(0, 1, 3, 4)).min() > 1e-4
