"""The convention, stated once and tested by value; and wrappers that keep it."""

from dataclasses import replace

import torch

from kinemark.model.configs import tiny
from kinemark.model.transformer import Transformer
from kinemark.sampling.flow import (
    CleanPredictor,
    Switched,
    WholeTimesteps,
    clean_from_velocity,
    denoiser_of,
    noised,
    per_slot,
    read_by,
    velocity_from_clean,
)
from kinemark.sampling.guidance import Guided
from wan_like import WAN_LIKE, inputs, randomised


def test_sigma_one_is_noise_and_zero_is_clean():
    clean, noise = torch.randn(2, 3, 4, 5, 6), torch.randn(2, 3, 4, 5, 6)
    assert torch.equal(noised(clean, noise, 0.0), clean)
    assert torch.equal(noised(clean, noise, 1.0), noise)
    assert torch.allclose(noised(torch.tensor(1.0), torch.tensor(3.0), 0.25), torch.tensor(1.5))


def test_velocity_points_from_clean_to_noise():
    clean, noise = torch.randn(2, 3, 4, 5, 6), torch.randn(2, 3, 4, 5, 6)
    sigma = per_slot(torch.rand(2, 4) * 0.9 + 0.1)
    x = noised(clean, noise, sigma)
    velocity = velocity_from_clean(x, clean, sigma)
    assert torch.allclose(velocity, noise - clean, atol=1e-4)
    assert torch.allclose(clean_from_velocity(x, velocity, sigma), clean, atol=1e-5)


def test_velocity_of_a_clean_slot_is_finite():
    x = torch.randn(1, 3, 2, 4, 4)
    velocity = velocity_from_clean(x, x + 1, per_slot(torch.zeros(1, 2)))
    assert velocity.isfinite().all()


def test_per_slot_puts_levels_on_the_slot_axis():
    assert per_slot(torch.rand(2, 3)).shape == (2, 1, 3, 1, 1)
    assert per_slot(torch.rand(3)).shape == (1, 3, 1, 1)
    latent_BCFHW, sigma_BF = torch.ones(2, 5, 3, 4, 4), torch.rand(2, 3)
    assert torch.equal((latent_BCFHW * per_slot(sigma_BF))[:, 2, :, 1, 1], sigma_BF)


def test_a_transformer_becomes_a_denoiser_by_what_it_predicts():
    transformer = Transformer(tiny()).eval()
    torch.nn.init.normal_(transformer.head.head.weight, std=0.1)
    x_BCFHW, sigma_BF, text_BLD = torch.randn(2, 4, 3, 4, 4), torch.rand(2, 3), torch.randn(2, 6, 8)
    denoiser = denoiser_of(transformer)
    assert isinstance(denoiser, CleanPredictor)
    with torch.no_grad():
        clean_BCFHW = transformer(x_BCFHW, sigma_BF, text_BLD)
        velocity_BCFHW = denoiser(x_BCFHW, sigma_BF, text_BLD)
    assert torch.allclose(clean_from_velocity(x_BCFHW, velocity_BCFHW, per_slot(sigma_BF)), clean_BCFHW, atol=1e-5)


class Told:
    """A network that remembers what noise levels it is told."""

    def __init__(self):
        self.levels = []

    def __call__(self, x_BCFHW, sigma_BF, text, **around):
        self.levels.append(sigma_BF)
        return x_BCFHW


def test_timesteps_are_rounded_down_and_exact():
    network = Told()
    WholeTimesteps(network)(torch.zeros(1, 4, 2, 2, 2), torch.tensor([[0.9375, 0.999999]]), torch.zeros(1, 6, 8))
    assert (1000 * network.levels[0]).tolist() == [[937.0, 999.0]]


def test_experts_take_turns_at_the_boundary():
    high, low = Told(), Told()
    denoiser = Switched(high, low, 0.875)
    for level in (1.0, 0.875, 0.87):
        denoiser(torch.zeros(1, 4, 2, 2, 2), torch.tensor([[level, 0.0]]), torch.zeros(1, 6, 8))
    assert [float(level.max()) for level in high.levels] == [1.0, 0.875]
    assert [round(float(level.max()), 2) for level in low.levels] == [0.87]


@torch.no_grad()
def test_a_prompt_is_read_once_by_whatever_stands_around_a_network():
    """Wrapped in all ways, what was read answers as the tokens do."""
    networks = [randomised(WAN_LIKE, seed) for seed in (0, 1)]
    x, sigma, tokens = inputs(WAN_LIKE, 2)
    guided = [Guided(network, torch.zeros(6, 8), scale) for network, scale in zip(networks, (4.0, 3.0), strict=True)]
    denoiser = Switched(WholeTimesteps(guided[0]), WholeTimesteps(guided[1]), 0.5)
    for level in (0.75, 0.25):
        expected = denoiser(x, torch.full_like(sigma, level), tokens)
        assert torch.equal(denoiser(x, torch.full_like(sigma, level), read_by(denoiser, tokens)), expected)
    clean = CleanPredictor(networks[0])
    assert torch.equal(clean(x, sigma, read_by(clean, tokens)), clean(x, sigma, tokens))
    pooling = denoiser_of(randomised(replace(tiny(), pooled_text=True)))
    assert torch.equal(pooling(x, sigma, read_by(pooling, tokens)), pooling(x, sigma, tokens))
    assert read_by(Told(), tokens) is tokens
