"""Orders of generation, on a tiny real transformer."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
import torch

from kinemark.model.cache import CachePolicy, within
from kinemark.model.configs import tiny
from kinemark.model.transformer import Transformer
from kinemark.sampling.conditions import Conditions, Use, drawn, stored
from kinemark.sampling.flow import denoiser_of
from kinemark.sampling.guidance import Guided
from kinemark.sampling.memory import leave, reread
from kinemark.sampling.streaming import SamplerConfig, plan, sample_jointly, sample_streaming, stream

SHAPE = (4, 5, 4, 4)
KNOWN = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(9))
CONFIG = SamplerConfig(
    first_steps=4, steps=3, history_sigma=0.1, cache=CachePolicy(window=8, sinks=1, place=within(8.0))
)


@pytest.fixture(scope="module")
def denoiser():
    torch.manual_seed(0)
    transformer = Transformer(tiny()).eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return denoiser_of(transformer)


def text(batch):
    return torch.randn(batch, 6, 8, generator=torch.Generator().manual_seed(7))


def with_known(caps):
    """Conditions of one clip in which the slots with a cap below 1 are given."""
    return replace(Conditions.from_text(text(1), [3], SHAPE), cap_F=torch.tensor(caps), known=stored(KNOWN))


# The plan; its order is tested with `sampling.order`.


def test_the_first_block_has_its_own_steps_unless_something_is_given():
    time_F = torch.arange(3.0)
    assert [block.steps for block in plan(time_F, torch.ones(3), CONFIG)] == [4, 3, 3]
    assert [block.steps for block in plan(time_F, torch.tensor([0.0, 1.0, 1.0]), CONFIG)] == [0, 3, 3]
    assert [block.steps for block in plan(time_F, torch.ones(3), replace(CONFIG, block_slots=None))] == [4]


def test_nothing_is_committed_that_nobody_looks_at():
    caps = torch.tensor([0.0] * 20 + [1.0, 1.0])
    blocks = plan(torch.arange(22.0), caps, replace(CONFIG, horizon=4.0))
    assert [block.slots[0] for block in blocks if block.commits] == [0, 16, 17, 18, 19, 20]


# Noise.


def test_noise_depends_on_the_seed_and_the_slot_alone():
    uses = (*Use, Use.AGAIN + 1, Use.AGAIN + 2)
    start, *others = (drawn([1, 2, 3], (4, 3, 3))(range(6), use) for use in uses)
    assert torch.equal(drawn([2], (4, 3, 3))([4, 1], Use.START), start[1:2, :, [4, 1]])
    assert not any(torch.equal(*pair) for pair in combinations((start, *others), 2))
    assert not torch.equal(start[0], start[1])
    assert start.std().item() == pytest.approx(1.0, abs=0.05)


# Streaming.


def test_a_clip_is_the_same_alone_and_in_a_batch(denoiser):
    together = sample_streaming(denoiser, Conditions.from_text(text(3), [5, 6, 7], SHAPE), CONFIG)
    alone = sample_streaming(denoiser, Conditions.from_text(text(3)[1:2], [6], SHAPE), CONFIG)
    assert torch.allclose(together[1:2], alone, atol=1e-4)


def test_a_longer_clip_begins_as_a_shorter_one(denoiser):
    longer = sample_streaming(denoiser, Conditions.from_text(text(1), [5], SHAPE), CONFIG)
    shorter = sample_streaming(denoiser, Conditions.from_text(text(1), [5], (4, 3, 4, 4)), CONFIG)
    assert torch.allclose(longer[:, :, :3], shorter, atol=1e-5)


@pytest.mark.parametrize("caps", [[0.0, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
def test_what_is_given_exactly_stays_exactly(denoiser, caps):
    conditions = with_known([float(cap) for cap in caps])
    kept = [slot for slot, cap in enumerate(caps) if cap == 0]
    for sample in (sample_streaming, sample_jointly):
        latent_BCFHW = sample(denoiser, conditions, CONFIG)
        assert torch.equal(latent_BCFHW[:, :, kept], KNOWN[:, :, kept])
        assert latent_BCFHW.isfinite().all()


def test_given_slots_are_seen_by_the_slots_before_them_in_time(denoiser):
    conditions = with_known([1.0, 1.0, 1.0, 1.0, 0.0])
    other = replace(conditions, known=stored(-KNOWN))
    for sample in (sample_streaming, sample_jointly):
        one, two = sample(denoiser, conditions, CONFIG), sample(denoiser, other, CONFIG)
        assert not torch.allclose(one[:, :, 0], two[:, :, 0], atol=1e-4)


def test_a_given_video_at_a_low_cap_changes_little(denoiser):
    def change(cap):
        conditions = with_known([cap] * 5)
        velocity = denoiser.network  # a random network: its output as a velocity moves a latent the further, the longer
        return (sample_streaming(velocity, conditions, CONFIG) - KNOWN).abs().mean().item()

    assert change(0.0) == 0
    assert 0 < change(0.05) < change(0.6)


def test_slots_follow_their_own_prompt(denoiser):
    conditions = Conditions.from_text(text(1), [5], SHAPE)
    changed_BFLD = conditions.text_BFLD.clone()
    changed_BFLD[:, 3:] = -changed_BFLD[:, 3:]
    one = sample_streaming(denoiser, conditions, CONFIG)
    two = sample_streaming(denoiser, replace(conditions, text_BFLD=changed_BFLD), CONFIG)
    assert torch.equal(one[:, :, :3], two[:, :, :3])
    assert not torch.allclose(one[:, :, 3:], two[:, :, 3:], atol=1e-4)
    with pytest.raises(ValueError, match="use stream"):
        sample_jointly(denoiser, replace(conditions, text_BFLD=changed_BFLD), CONFIG)


def test_a_new_prompt_has_what_is_remembered_read_again(denoiser):
    """With one step a slot, what a slot becomes after the change differs only by how the slots before it were read."""
    conditions = Conditions.from_text(text(1), [5], SHAPE)
    changed_BFLD = conditions.text_BFLD.clone()
    changed_BFLD[:, 3:] = -changed_BFLD[:, 3:]
    changed = replace(conditions, text_BFLD=changed_BFLD)
    again, kept = (sample_streaming(denoiser, changed, replace(CONFIG, on_prompt=turn)) for turn in (reread, leave))
    assert torch.equal(again[:, :, :3], kept[:, :, :3])
    assert not torch.allclose(again[:, :, 3], kept[:, :, 3], atol=1e-4)
    # Read again under the same prompt, they are what they were.
    alike = replace(changed, known=stored(again), cap_F=torch.tensor([0.0, 0, 0, 1, 1]))
    whole = replace(alike, text_BFLD=changed_BFLD[:, 3:4].expand_as(changed_BFLD))
    config = replace(CONFIG, history_sigma=0.0)
    assert torch.allclose(
        sample_streaming(denoiser, alike, config)[:, :, 3:],
        sample_streaming(denoiser, whole, config)[:, :, 3:],
        atol=1e-5,
    )


def test_a_gap_before_what_is_given_is_made_backwards(denoiser):
    conditions = with_known([1.0, 1.0, 1.0, 0.0, 0.0])
    assert [slots for slots, _ in stream(denoiser, conditions, CONFIG)] == [(4,), (3,), (2,), (1,), (0,)]


def test_noisy_history_is_a_value(denoiser):
    conditions = Conditions.from_text(text(1), [5], SHAPE)
    clean = sample_streaming(denoiser, conditions, replace(CONFIG, history_sigma=0.0))
    noisy = sample_streaming(denoiser, conditions, replace(CONFIG, history_sigma=0.3))
    assert torch.equal(clean[:, :, 0], noisy[:, :, 0])
    assert not torch.allclose(clean[:, :, 1:], noisy[:, :, 1:], atol=1e-4)


def test_blocks_are_yielded_in_order_and_the_cache_stays_bounded(denoiser):
    sizes = []

    def spy(*arguments, cache, **keywords):
        sizes.append(len(cache))
        return denoiser(*arguments, cache=cache, **keywords)

    conditions = Conditions.from_text(text(1), [5], (4, 12, 4, 4))
    config = replace(CONFIG, block_slots=2, cache=CachePolicy(window=4, sinks=1, place=within(4.0)))
    assert [slots for slots, _ in stream(spy, conditions, config)] == [(i, i + 1) for i in range(0, 12, 2)]
    assert max(sizes) == 5


def test_guided_streaming_is_streaming(denoiser):
    conditions = Conditions.from_text(text(2), [5, 6], SHAPE)
    plain = sample_streaming(denoiser, conditions, CONFIG)
    same = sample_streaming(Guided(denoiser, torch.zeros(6, 8), 1.0), conditions, CONFIG)
    more = sample_streaming(Guided(denoiser, torch.zeros(6, 8), 4.0), conditions, CONFIG)
    assert torch.allclose(plain, same, atol=1e-3)
    assert not torch.allclose(plain, more, atol=1e-3)


# Joint.


def test_joint_sampling_keeps_the_order_of_attention(denoiser):
    """A slot does not depend on what comes after it, however it is sampled."""
    conditions = Conditions.from_text(text(1), [5], SHAPE)
    changed_BCFHW = conditions.noise(range(5), Use.START)
    changed_BCFHW[:, :, 3:] = 0

    def changed(slots: Sequence[int], use: int) -> torch.Tensor:
        return changed_BCFHW[:, :, list(slots)]

    one = sample_jointly(denoiser, conditions, CONFIG)
    two = sample_jointly(denoiser, replace(conditions, noise=changed), CONFIG)
    assert torch.allclose(one[:, :, :3], two[:, :, :3], atol=1e-4)
    full = sample_jointly(denoiser, conditions, replace(CONFIG, block_slots=None))
    assert not torch.allclose(one[:, :, 0], full[:, :, 0], atol=1e-4)


def test_a_single_slot_is_the_same_in_both_orders(denoiser):
    conditions = Conditions.from_text(text(2), [5, 6], (4, 1, 4, 4))
    streamed = sample_streaming(denoiser, conditions, CONFIG)
    assert torch.allclose(streamed, sample_jointly(denoiser, conditions, CONFIG), atol=1e-4)


def test_a_model_without_blocks_streams_all_at_once(denoiser):
    conditions, config = with_known([0.0, 1, 1, 1, 1]), replace(CONFIG, block_slots=None)
    ((slots, latent_BCFHW),) = stream(denoiser, conditions, config)
    assert slots == (0, 1, 2, 3, 4)
    assert torch.equal(latent_BCFHW, sample_jointly(denoiser, conditions, config))


def test_sampling_leaves_no_gradients(denoiser):
    conditions = Conditions.from_text(text(1), [5], (4, 2, 4, 4))
    assert not sample_streaming(denoiser, conditions, CONFIG).requires_grad
    assert not sample_jointly(denoiser, conditions, CONFIG).requires_grad
