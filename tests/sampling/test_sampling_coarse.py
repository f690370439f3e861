import pytest
import torch

from kinemark.model.configs import spark, wan_1_3b
from kinemark.sampling.coarse import coarsened, count_steps, refining, sample_coarse_first, stream_coarse_first
from kinemark.sampling.conditions import Conditions
from kinemark.sampling.flow import per_slot, velocity_from_clean
from kinemark.sampling.streaming import Coarse, SamplerConfig

COARSE = Coarse(multiple=4)


class Recorder:
    """Knows the clean answer: a constant picture; keeps what it was asked."""

    def __init__(self, value=0.25):
        self.value, self.asked = value, []

    def __call__(self, x, sigma, text_BLD, **rest):
        self.asked.append((tuple(x.shape[-2:]), float(sigma.max()), rest.get("write", False)))
        return velocity_from_clean(x, torch.full_like(x, self.value), per_slot(sigma))


def ask(height=16, width=24, slots=2, batch=2):
    return Conditions.from_text(torch.zeros(batch, 3, 8), range(batch), (4, slots, height, width))


def test_noise_stays_standard_when_it_is_shrunk():
    small = coarsened(ask(64, 64, 4), COARSE)
    assert small.noise_BCFHW.shape[-2:] == (32, 32)
    assert small.noise_BCFHW.std().item() == pytest.approx(1.0, abs=0.03)
    assert small.history_noise_BCFHW.std().item() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("size", "small"), [((16, 16), (8, 8)), ((16, 24), (8, 12)), ((24, 40), (12, 20)), ((8, 18), (4, 12))]
)
def test_small_sides_are_whole_patches(size, small):
    assert coarsened(ask(*size), COARSE).known_BCFHW.shape[-2:] == small


@pytest.mark.parametrize("size", [(16, 24), (8, 18), (24, 20)])
def test_there_and_back_keeps_the_place(size):
    conditions = ask(*size)
    ramp = torch.linspace(-1, 1, size[1]).expand_as(conditions.known_BCFHW).contiguous()
    conditions.known_BCFHW.copy_(ramp)
    back = refining(conditions, coarsened(conditions, COARSE).known_BCFHW, COARSE).known_BCFHW
    assert back.shape == ramp.shape
    inner = slice(4, -4)
    assert (back - ramp)[..., inner].abs().max() < 0.02


def test_the_fine_pass_begins_at_the_stated_level():
    denoiser = Recorder()
    config = SamplerConfig(first_steps=10, steps=10, coarse=COARSE)
    done = dict(stream_coarse_first(denoiser, ask(), config))
    assert set(done) == {(0,), (1,)}
    for latent in done.values():
        torch.testing.assert_close(latent, torch.full_like(latent, 0.25), atol=1e-4, rtol=0)
    small = [sigma for size, sigma, write in denoiser.asked if size == (8, 12) and not write]
    large = [sigma for size, sigma, write in denoiser.asked if size == (16, 24) and not write]
    assert max(small) == 1.0
    assert max(large) == pytest.approx(COARSE.sigma)
    assert len(small) + len(large) == count_steps(ask(), config)


def test_what_is_given_is_kept():
    conditions = ask()
    conditions.cap_F[0] = 0.0
    conditions.known_BCFHW[:, :, 0] = torch.rand_like(conditions.known_BCFHW[:, :, 0])
    done = dict(stream_coarse_first(Recorder(), conditions, SamplerConfig(first_steps=4, steps=4, coarse=COARSE)))
    assert torch.equal(done[(0,)][:, :, 0], conditions.known_BCFHW[:, :, 0])


def test_a_lower_cap_is_not_raised():
    conditions = ask()
    conditions.cap_F[1] = 0.3
    fine = refining(conditions, torch.ones(2, 4, 2, 8, 12), COARSE)
    assert fine.cap_F.tolist() == pytest.approx([0.6, 0.3])
    assert (fine.known_BCFHW[:, :, 0] == 1).all()
    assert (fine.known_BCFHW[:, :, 1] == 0).all()


def test_without_a_coarse_pass_nothing_small_is_asked():
    denoiser = Recorder()
    config = SamplerConfig(first_steps=3, steps=2)
    latent = sample_coarse_first(denoiser, ask(), config)
    torch.testing.assert_close(latent, torch.full_like(latent, 0.25), atol=1e-4, rtol=0)
    assert {size for size, _, _ in denoiser.asked} == {(16, 24)}
    assert sum(not write for _, _, write in denoiser.asked) == count_steps(ask(), config) == 5


def test_a_model_says_whether_it_has_a_coarse_pass():
    assert SamplerConfig().fitted(spark()).coarse == Coarse(factor=2, multiple=8)
    assert SamplerConfig(coarse=COARSE).fitted(wan_1_3b()).coarse is None
    assert SamplerConfig().fitted(wan_1_3b()).block_slots is None
