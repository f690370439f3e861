"""Layers compute the formulas that they name."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from einops import rearrange

from kinemark.model.configs import tiny
from kinemark.model.layers import FeedForward, ImageEmbedding, NoiseFilter, TanhGELU
from wan_like import inputs, randomised


def test_gelu_is_torchs_tanh_form() -> None:
    x = torch.linspace(-30, 30, 4001)
    torch.testing.assert_close(TanhGELU()(x), torch.nn.functional.gelu(x, approximate="tanh"), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_feed_forward_is_the_same_without_gradients(dtype: torch.dtype) -> None:
    """It then writes over its own values, and not over what it is given."""
    ffn = FeedForward(6, 20).to(dtype)
    x = torch.randn(2, 9, 6, dtype=dtype)
    before = x.clone()
    with torch.no_grad():
        free = ffn(x)
    error = (free - ffn(x)).abs().max()
    assert error < (1e-6 if dtype == torch.float32 else 0.02)
    assert torch.equal(x, before)


def test_pure_noise_is_not_shown_and_clean_latents_are_untouched() -> None:
    shown_by = NoiseFilter(4, (1, 2, 2))
    shown_by.fit(torch.randn(64, 4, 1, 4, 4))
    x = torch.randn(2, 4, 1, 4, 4)
    noise, clean = shown_by(x, torch.tensor([[1.0], [0.0]]))
    assert (noise == 0).all()
    torch.testing.assert_close(clean, x[1])
    config = replace(tiny(), filters_noise=True)
    model, text = randomised(config), inputs(config, 1)[2][:1]
    one, other = (model(latent, torch.ones(1), text) for latent in torch.randn(2, 1, 4, 1, 8, 8))
    torch.testing.assert_close(one, other)


def test_an_unfitted_filter_treats_all_directions_alike() -> None:
    x = torch.randn(1, 4, 1, 4, 4)
    shown = NoiseFilter(4, (1, 2, 2))(x, torch.tensor([[0.5]]))
    torch.testing.assert_close(shown, x * (0.5 * 0.3 / (0.25 * 0.3 + 0.25)) ** 0.5)


def test_the_square_of_the_filter_is_the_best_linear_guess() -> None:
    """Applied twice, its error is that of the least-squares map from noised patches to clean ones."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(16, 16, generator=generator) * torch.logspace(0, -3, 16)
    flat = torch.randn(4096, 16, generator=generator) @ mixing.mT
    flat = flat - flat.mean(dim=0)
    flat = flat * (0.5 / torch.linalg.eigvalsh(flat.mT @ flat / len(flat)).max()).sqrt()  # below the bound of 1
    noised = 0.6 * flat + 0.4 * torch.randn(flat.shape, generator=generator)
    shown_by = NoiseFilter(4, (1, 2, 2))
    as_latent = partial(rearrange, pattern="b (c q r) -> b c 1 q r", c=4, q=2, r=2)
    shown_by.fit(as_latent(flat))
    sigma = torch.full((len(flat), 1), 0.4)
    twice = shown_by(shown_by(as_latent(noised), sigma), sigma)
    best = noised @ torch.linalg.lstsq(noised, flat).solution
    ours, least = ((guess - truth).square().mean() for guess, truth in ((twice, as_latent(flat)), (best, flat)))
    assert least <= ours < 1.05 * least


def test_features_of_two_pictures_have_their_positions() -> None:
    embedding = ImageEmbedding(image_dim=6, width=4, positions=10)
    torch.nn.init.normal_(embedding.emb_pos)
    features = torch.randn(1, 5, 6).repeat(1, 2, 1)
    first, last = embedding(features).chunk(2, dim=1)
    assert (first - last).abs().max() > 1e-2
    with pytest.raises(ValueError, match="5 features of pictures; this model takes 10"):
        embedding(features[:, :5])
