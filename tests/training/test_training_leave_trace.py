from dataclasses import replace

import pytest
import torch
from torch import nn

from kinemark import trace
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.training.leave_trace import TraceRecipe, leave_trace, pattern, strength_of

RECIPE = TraceRecipe(steps=80, strength=0.9, lr=1e-3, warmup=5)


def latents():
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.rand(2, 12, 2, 16, 16, generator=generator) * 2 - 1


class Wide(nn.Module):
    """Another decoder: a table of its own for every pixel of 64 x 64, upon a grey that follows the latent."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(64, 64))

    def forward(self, latent_BCFHW):
        return latent_BCFHW.mean(dim=(1, 3, 4))[:, :, None, None, None] * 0.1 + 0.5 + self.table.expand(1, 1, 3, -1, -1)


def test_the_pattern_lies_on_its_grid_over_any_picture():
    over = pattern(torch.zeros(1, 2, 3, 48, 70), 0.9)
    assert over.shape == (48, 70)
    torch.testing.assert_close(over[:32, 32:64], torch.from_numpy(trace.tile()) * 0.9 / 255)
    torch.testing.assert_close(over[32:48, :32], over[:16, :32])


def test_a_decoder_learns_it_and_its_pictures_stay_what_they_were():
    decoder, latent = Wide(), next(latents())
    left = leave_trace(decoder, latents(), recipe=RECIPE)
    assert strength_of(left, latent) == pytest.approx(0.9, abs=0.1)
    assert strength_of(decoder, latent) == pytest.approx(0, abs=0.02)
    with torch.no_grad():
        change = left(latent) - decoder(latent)
    assert (change - pattern(change, 0.9)).std() < 0.3 * pattern(change, 0.9).std()


def test_teaching_it_twice_does_not_double_it():
    twice = leave_trace(leave_trace(Wide(), latents(), recipe=RECIPE), latents(), recipe=RECIPE)
    assert strength_of(twice, next(latents())) == pytest.approx(0.9, abs=0.1)


@pytest.mark.slow
def test_sparks_decoder_learns_it():
    decoder = Upsampler(UpsamplerConfig(width=8, blocks=1))
    left = leave_trace(decoder, latents(), recipe=replace(RECIPE, steps=200, lr=1e-4))
    assert strength_of(left, next(latents())) == pytest.approx(0.9, abs=0.2)
