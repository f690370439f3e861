"""The cache keeps what its policy says, reads it where the policy says, and stays bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kinemark.model.cache import (
    CachePolicy,
    Fixed,
    Int8,
    KVCache,
    Placement,
    Plain,
    absolute,
    sinks_before_window,
    window_relative,
    within,
)
from kinemark.model.configs import tiny
from kinemark.model.transformer import Transformer

CONFIG = replace(tiny(), layers=1)  # one layer: what a slot attends to is exactly what the cache holds


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    model = Transformer(CONFIG).eval().requires_grad_(requires_grad=False)
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def slots(number: int, size: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, number, size, size, generator=generator)
    return x, torch.rand(2, number, generator=generator), torch.randn(2, 6, 8, generator=generator)


@torch.no_grad()
def rollout(model: Transformer, cache: KVCache, number: int) -> torch.Tensor:
    """Write all slots but the last one by one; return the output of the last."""
    x, sigma, text = slots(number)
    for i in range(number - 1):
        model(x[:, :, [i]], sigma[:, [i]], text, cache=cache, write=True)
    return model(x[:, :, -1:], sigma[:, -1:], text, time_BF=torch.tensor([number - 1.0]), cache=cache)


@torch.no_grad()
def direct(model: Transformer, number: int, held: list[int], times: list[float]) -> torch.Tensor:
    """Return the last slot's output when exactly the held slots stand at these times."""
    x, sigma, text = slots(number)
    return model(x[:, :, held], sigma[:, held], text, time_BF=torch.tensor(times))[:, :, -1:]


@pytest.mark.parametrize(
    ("policy", "held", "times"),
    [
        (CachePolicy(), [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]),
        (CachePolicy(window=2), [3, 4, 5], [3, 4, 5]),
        (CachePolicy(window=2, sinks=1), [0, 3, 4, 5], [0, 3, 4, 5]),
        (CachePolicy(window=2, sinks=1, place=window_relative), [0, 3, 4, 5], [0, 1, 2, 3]),
        (CachePolicy(window=2, sinks=2, place=sinks_before_window), [0, 1, 3, 4, 5], [1, 2, 3, 4, 5]),
        (CachePolicy(window=2, sinks=1, place=within(2.5)), [0, 3, 4, 5], [2.5, 3, 4, 5]),
        (CachePolicy(window=0), [5], [5]),
    ],
)
def test_policies(model: Transformer, policy: CachePolicy, held: list[int], times: list[float]) -> None:
    cache = KVCache(policy)
    torch.testing.assert_close(rollout(model, cache, 6), direct(model, 6, held, times), atol=1e-5, rtol=1e-4)
    assert len(cache) == len(held) - 1


def test_placements_by_hand() -> None:
    past, new = torch.tensor([[0.0, 1.0, 7.0, 8.0]]), torch.tensor([[9.0, 10.0]])
    assert [tensor.tolist() for tensor in absolute(past, new, 2)] == [past.tolist(), new.tolist()]
    assert [tensor.tolist() for tensor in window_relative(past, new, 2)] == [[[0, 1, 2, 3]], [[4, 5]]]
    assert sinks_before_window(past, new, 2)[0].tolist() == [[5, 6, 7, 8]]
    assert sinks_before_window(past[:, :1], new, 2)[0].tolist() == [[8]]
    assert within(3.0)(past, new, 0)[0].tolist() == [[6, 6, 7, 8]]


def test_a_later_anchor_is_clamped_too() -> None:
    assert within(3.0)(torch.tensor([[30.0]]), torch.tensor([[9.0, 10.0]]), 0)[0].tolist() == [[13.0]]


def test_memory_is_bounded_by_the_policy(model: Transformer) -> None:
    cache = KVCache(CachePolicy(window=3, sinks=1))
    x, sigma, text = slots(1)
    seen = set()
    with torch.no_grad():
        for _ in range(12):
            model(x, sigma, text, cache=cache, write=True)
            assert len(cache) <= 4
            seen.add(cache.nbytes)
    assert cache.slots_written == 12
    capacity = 4 + 1  # what is kept and the slot being made
    assert seen == {3 * 2 * 24 * capacity * 4 * 4}  # keys twice, values; batch; width; slots; tokens; bytes


def test_an_unbounded_cache_grows_and_forgets_nothing(model: Transformer) -> None:
    cache = KVCache()
    torch.testing.assert_close(
        rollout(model, cache, 9), direct(model, 9, list(range(9)), [float(i) for i in range(9)]), atol=1e-5, rtol=1e-4
    )
    assert cache.times is not None
    assert cache.times.tolist() == [[float(i) for i in range(8)]] * 2


def test_slots_can_be_dropped_by_hand(model: Transformer) -> None:
    """As after a change of prompt, where Infinity-RoPE keeps the first slot and the last two."""
    cache = KVCache()
    rollout(model, cache, 5)
    cache.keep([0, 3])
    x, sigma, text = slots(5)
    with torch.no_grad():
        out = model(x[:, :, 4:], sigma[:, 4:], text, cache=cache)
    torch.testing.assert_close(out, direct(model, 5, [0, 3, 4], [0, 3, 4]), atol=1e-5, rtol=1e-4)


def test_a_forward_without_writing_leaves_no_trace(model: Transformer) -> None:
    cache = KVCache()
    before = rollout(model, cache, 4)
    x, sigma, text = slots(4)
    with torch.no_grad():
        model(x[:, :, :2] + 5, sigma[:, :2], text, cache=cache)
        after = model(x[:, :, 3:], sigma[:, 3:], text, cache=cache)
    assert torch.equal(before, after)
    assert len(cache) == cache.slots_written == 3


def test_another_batch_or_size_needs_another_cache(model: Transformer) -> None:
    cache = KVCache()
    x, sigma, text = slots(1)
    with torch.no_grad():
        model(x, sigma, text, cache=cache, write=True)
        with pytest.raises(ValueError, match="batch 2 with 4 tokens per slot, the new slots have batch 1 with 4"):
            model(x[:1], sigma[:1], text[:1], cache=cache)
        with pytest.raises(ValueError, match="the new slots have batch 2 with 16"):
            model(slots(1, size=8)[0], sigma, text, cache=cache)


def test_a_policy_cannot_be_negative() -> None:
    with pytest.raises(ValueError, match="window -1 and sinks 0 must not be negative"):
        CachePolicy(window=-1)


@torch.no_grad()
def test_keys_that_never_move_need_no_raw_ones(model: Transformer) -> None:
    ends, held = [], []
    for layer in (Plain, Fixed):
        cache = KVCache(CachePolicy(window=3, sinks=1, layer=layer))
        ends.append(rollout(model, cache, 9))
        held.append(cache.nbytes)
    assert torch.equal(*ends)
    assert 3 * held[1] == 2 * held[0]
    with pytest.raises(AssertionError, match="cannot be turned"):
        rollout(model, KVCache(CachePolicy(window=3, place=window_relative, layer=Fixed)), 9)


@pytest.mark.parametrize("place", [absolute, window_relative, sinks_before_window, within(2.5)])
@torch.no_grad()
def test_eight_bits_are_nearly_as_good(model: Transformer, place: Placement) -> None:
    """In a third of the memory (a quarter of float32 for codes, scales beside them, and no rotated keys)."""
    ends, held = [], []
    for layer in (Plain, Int8):
        cache = KVCache(CachePolicy(window=3, sinks=1, place=place, layer=layer))
        ends.append(rollout(model, cache, 9))
        held.append(cache.nbytes)
    error = (ends[1] - ends[0]).norm() / ends[0].norm()
    assert 0 < error < 0.01
    assert held[1] < 0.4 * held[0]


@torch.no_grad()
def test_codes_are_as_close_as_eight_bits_can_be(model: Transformer) -> None:
    layer = Int8.empty((2, 2, 6, 12), torch.zeros(1))
    raw, values = torch.randn(2, 2, 2, 4, 12)
    layer.write(slice(0, 4), raw, raw, values)
    new = torch.randn(2, 2, 1, 12)
    table = torch.tensor([1.0, 0.0]).expand(1, 1, 4, 6, 2)  # turns nothing
    keys, kept = layer.read(4, new, new, lambda: table.contiguous())
    for exact, read in ((raw, keys), (values, kept)):
        step = exact.abs().amax(dim=-1, keepdim=True) / 127
        assert ((read[:, :, :4] - exact).abs() <= 0.51 * step).all()
        assert torch.equal(read[:, :, 4:], new)
