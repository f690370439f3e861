from dataclasses import replace

import pytest
import torch

from kinemark.model.configs import spark, tiny, wan_1_3b
from kinemark.model.transformer import Transformer
from kinemark.sampling.coarse import (
    Experts,
    coarsened,
    count_steps,
    experts_of,
    refining,
    sample_coarse_first,
    stream_coarse_first,
)
from kinemark.sampling.conditions import Conditions, Use, stored
from kinemark.sampling.flow import per_slot, velocity_from_clean
from kinemark.sampling.guidance import Guided
from kinemark.sampling.streaming import Coarse, SamplerConfig

COARSE = Coarse()


class Recorder:
    """Knows the clean answer: a constant picture; keeps what it was asked."""

    def __init__(self, value=0.25):
        self.value, self.asked = value, []

    def __call__(self, x, sigma, text, **rest):
        self.asked.append((tuple(x.shape[-2:]), float(sigma.max()), rest.get("write", False)))
        return velocity_from_clean(x, torch.full_like(x, self.value), per_slot(sigma))


def ask(height=16, width=24, slots=2, batch=2):
    return Conditions.from_text(torch.zeros(batch, 3, 8), range(batch), (4, slots, height, width))


def test_noise_stays_standard_when_it_is_shrunk():
    small = coarsened(ask(64, 64, 4), COARSE)
    for use in Use:
        assert small.noise(range(4), use).shape == small.shape
        assert small.noise(range(4), use).std().item() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("size", [(16, 24), (8, 16), (24, 40)])
def test_there_and_back_keeps_the_place(size):
    conditions = ask(*size)
    ramp = torch.linspace(-1, 1, size[1]).expand(conditions.shape)
    small = coarsened(replace(conditions, known=stored(ramp)), COARSE).known((0, 1))
    back = refining(conditions, [((0, 1), small)], COARSE).known((0, 1))
    assert back.shape == ramp.shape
    inner = slice(2, -2)
    assert (back - ramp)[..., inner].abs().max() < 0.02


def test_the_fine_pass_begins_at_the_stated_level():
    experts = Experts(detail=Recorder(), scene=Recorder())
    config = SamplerConfig(first_steps=10, steps=10, coarse=COARSE)
    done = dict(stream_coarse_first(experts, ask(), config))
    assert set(done) == {(0,), (1,)}
    for latent in done.values():
        torch.testing.assert_close(latent, torch.full_like(latent, 0.25), atol=1e-4, rtol=0)
    assert {size for size, _, _ in experts.scene.asked} == {(8, 12)}
    assert {size for size, _, _ in experts.detail.asked} == {(16, 24)}
    small, large = ([s for _, s, write in e.asked if not write] for e in (experts.scene, experts.detail))
    assert max(small) == 1.0
    assert max(large) == pytest.approx(COARSE.sigma)
    assert len(small) + len(large) == count_steps(experts, ask(), config)


def test_what_is_given_is_kept():
    known = torch.rand(ask().shape)
    conditions = replace(ask(), known=stored(known), cap_F=torch.tensor([0.0, 1.0]))
    config = SamplerConfig(first_steps=4, steps=4, coarse=COARSE)
    done = dict(stream_coarse_first(Experts(Recorder(), Recorder()), conditions, config))
    assert torch.equal(done[(0,)][:, :, 0], known[:, :, 0])


def test_a_lower_cap_is_not_raised():
    conditions = ask()
    conditions.cap_F[1] = 0.3
    fine = refining(conditions, [((0, 1), torch.ones(2, 4, 2, 8, 12))], COARSE)
    assert fine.cap_F.tolist() == pytest.approx([COARSE.sigma, 0.3])
    assert (fine.known((0,)) == 1).all()
    assert (fine.known((1,)) == 0).all()


def test_a_slot_is_made_large_as_soon_as_it_is_decided():
    """So that the first pictures of a minute need not wait for its last ones, and nothing is kept of the whole."""
    experts = Experts(detail=Recorder(), scene=Recorder())
    blocks = stream_coarse_first(experts, ask(slots=6), SamplerConfig(first_steps=2, steps=2, coarse=COARSE))
    next(blocks)
    first = len(experts.scene.asked)
    next(blocks)
    assert 0 < first < len(experts.scene.asked) <= 2 * first


def test_without_a_scene_expert_nothing_small_is_asked():
    experts = Experts(Recorder())
    config = SamplerConfig(first_steps=3, steps=2)
    latent = sample_coarse_first(experts, ask(), config)
    torch.testing.assert_close(latent, torch.full_like(latent, 0.25), atol=1e-4, rtol=0)
    assert {size for size, _, _ in experts.detail.asked} == {(16, 24)}
    assert sum(not write for _, _, write in experts.detail.asked) == count_steps(experts, ask(), config) == 5


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_expert_that_decides_is_guided(scale):
    transformer = Transformer(tiny()).eval()
    both = experts_of(transformer, transformer, torch.zeros(6, 8), scale)
    assert isinstance(both.scene, Guided) == (scale != 1)
    assert not isinstance(both.detail, Guided)
    alone = experts_of(transformer, None, torch.zeros(6, 8), scale)
    assert alone.scene is None
    assert isinstance(alone.detail, Guided) == (scale != 1)


def test_a_model_says_in_which_blocks_it_was_trained():
    assert SamplerConfig().fitted(spark()).block_slots == 1
    assert SamplerConfig().fitted(wan_1_3b()).block_slots is None
