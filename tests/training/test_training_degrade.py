import random
from dataclasses import dataclass, field

import torch

from kinemark.model.transformer import Transformer
from kinemark.sampling.flow import noised
from kinemark.training.degrade import DenoisedOnce, SyntheticFlaws, arriving_noise
from kinemark.training.recipes import tiny_recipe
from kinemark.worlds.spec import PLAIN_MIX, sample_scene


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def latents(batch=2, slots=3, side=16, seed=0, channels=12):
    return torch.rand(batch, channels, slots, side, side, generator=generator(seed)) * 2 - 1


def scenes(count):
    rng = random.Random(0)
    return [sample_scene(rng, PLAIN_MIX) for _ in range(count)]


def test_flaws_are_a_pure_function_of_the_generator():
    one, again, other = (SyntheticFlaws()(latents(), scenes(2), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_no_flaws_change_nothing():
    latent = latents()
    torch.testing.assert_close(SyntheticFlaws(offset=0, softness=0, noise=0)(latent, scenes(2), generator()), latent)


def test_offsets_are_constant_in_a_patch_and_jump_at_its_border():
    flat = torch.zeros(1, 12, 1, 16, 16)
    flawed = SyntheticFlaws(offset=1, softness=0, noise=0)(flat, scenes(1), generator())
    patches = flawed.unflatten(-1, (2, 8)).unflatten(-3, (2, 8))
    assert patches.std(dim=(-3, -1)).max() < 1e-6
    assert flawed[..., 7].sub(flawed[..., 8]).abs().min() > 1e-4


def test_softness_blurs_detail_and_leaves_flat_colour():
    flat = torch.full((1, 12, 1, 16, 16), 0.3)
    soften = SyntheticFlaws(offset=0, softness=1, noise=0)
    torch.testing.assert_close(soften(flat, scenes(1), generator()), flat)
    detailed = latents()
    assert soften(detailed, scenes(2), generator()).std() < detailed.std()


def test_noise_has_the_strength_asked_at_most():
    error = SyntheticFlaws(offset=0, softness=0, noise=0.06)(latents(), scenes(2), generator()) - latents()
    assert 0 < error.std() < 0.07
    assert abs(error.mean()) < 0.01


def test_at_the_handover_a_clip_is_its_soft_self_with_plain_noise():
    clean, noise, handover = latents(), torch.zeros(2, 12, 3, 16, 16), 0.4
    arriving = arriving_noise(clean, noise, handover, generator())
    soft = noised(clean, arriving, handover) / (1 - handover)
    assert soft.std() < 0.7 * clean.std()
    torch.testing.assert_close(soft.mean(), clean.mean(), atol=0.01, rtol=0)
    noisy = noised(clean, arriving_noise(clean, latents(seed=9), handover, generator()), handover)
    torch.testing.assert_close(noisy - (1 - handover) * soft, handover * latents(seed=9))


def test_flat_pictures_and_clips_that_begin_as_noise_arrive_with_plain_noise():
    flat, noise = torch.full((1, 12, 1, 16, 16), 0.3), latents(1, 1)
    torch.testing.assert_close(arriving_noise(flat, noise, 0.4, generator()), noise)
    assert torch.equal(arriving_noise(latents(1, 1), noise, 1.0, generator()), noise)


@dataclass
class PlainText:
    """A text encoder that remembers what it was asked, and says the same of every prompt."""

    width: int
    prompts: list[str] = field(default_factory=list)

    def encode(self, prompts):
        self.prompts = list(prompts)
        return torch.zeros(len(prompts), 4, self.width)


def test_the_transformer_degrades_by_denoising_once():
    torch.manual_seed(0)
    config = tiny_recipe().config
    transformer, text = Transformer(config).eval(), PlainText(config.text_dim)
    degrade = DenoisedOnce(transformer, text)
    shape = latents(side=4 * config.patch[1], channels=config.in_channels)
    degraded = degrade(shape, scenes(2), generator())
    assert degraded.shape == shape.shape
    assert torch.isfinite(degraded).all()
    assert not degraded.requires_grad
    assert torch.equal(degraded, degrade(shape, scenes(2), generator()))
    assert len(text.prompts) == 2
    assert all(text.prompts)
