import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.sampling.flow import noised, velocity_from_clean
from kinemark.training.objective import (
    SIGMA_FLOOR,
    NoiseMix,
    clean_loss,
    draw_sigma,
    subject_weight,
    velocity_weight,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10**6))
def test_levels_are_between_clean_and_noise(slots, seed):
    sigma_BF, learn_BF = draw_sigma(16, slots, NoiseMix(), generator(seed))
    assert sigma_BF.shape == learn_BF.shape == (16, slots)
    assert ((sigma_BF >= 0) & (sigma_BF <= 1)).all()
    assert learn_BF.sum(dim=1).min() >= 1


def test_a_history_is_low_shared_and_not_learnt():
    sigma_BF, learn_BF = draw_sigma(500, 5, NoiseMix(history=1.0, shared=0.0, independent=0.0), generator())
    past_BF = learn_BF == 0
    assert past_BF[:, 0].all()
    assert not past_BF[:, -1].any()
    assert sigma_BF[past_BF].max() <= 0.3
    for levels_F, past_F in zip(sigma_BF, past_BF, strict=True):
        assert len(levels_F[past_F].unique()) == 1
        assert len(levels_F[~past_F].unique()) == 1


def test_no_level_is_above_the_handover():
    sigma_BF, _ = draw_sigma(2000, 4, NoiseMix(mean=1.5, handover=0.4), generator())
    assert 0.35 < sigma_BF.max() <= 0.4


def test_shares_of_the_mix_are_as_stated():
    sigma_BF, learn_BF = draw_sigma(4000, 4, NoiseMix(), generator())
    history = (learn_BF == 0).any(dim=1).float().mean().item()
    shared = (sigma_BF == sigma_BF[:, :1]).all(dim=1).float().mean().item()
    assert history == pytest.approx(0.5, abs=0.03)
    assert shared == pytest.approx(0.3, abs=0.03)


def test_median_level_is_the_logit_normal_median():
    sigma_BF, _ = draw_sigma(20_000, 1, NoiseMix(uniform=0.0), generator())
    assert sigma_BF.median().item() == pytest.approx(torch.sigmoid(torch.tensor(0.8)).item(), abs=0.01)


def test_the_weight_is_that_of_velocity():
    torch.manual_seed(0)
    clean, guess, noise = torch.rand(3, 2, 4, 2, 6, 6)
    sigma_BF = torch.full((2, 2), 0.5)
    sigma = sigma_BF[:, None, :, None, None]
    x = noised(clean, noise, sigma)
    velocity_error = (velocity_from_clean(x, guess, sigma) - (noise - clean)).square().mean()
    loss_BF = clean_loss(guess, clean, sigma_BF, torch.ones(2, 2), torch.ones(2, 2, 6, 6))
    torch.testing.assert_close(loss_BF.mean(), velocity_error)


def test_the_weight_is_bounded():
    assert velocity_weight(torch.tensor([0.0])).item() == pytest.approx(SIGMA_FLOOR**-2)


def test_a_subject_has_its_share_of_the_loss_however_small_it_is():
    mask = torch.zeros(1, 3, 8, 8)
    mask[0, 0, 2, 3] = 1.0
    mask[0, 1, :4] = 1.0
    weight = subject_weight(mask, 0.5)
    torch.testing.assert_close(weight.mean(dim=(-2, -1)), torch.ones(1, 3))
    inside = (weight * mask).mean(dim=(-2, -1))
    torch.testing.assert_close(inside, torch.tensor([[0.5 + 0.5 / 64, 0.5 + 0.25, 0.0]]))
    assert (weight[0, 2] == 1).all()


def test_weights_move_the_loss_to_where_they_lie():
    clean = torch.zeros(1, 3, 1, 4, 4)
    wrong = clean.clone()
    wrong[..., 0, 0] = 1.0
    mask = torch.zeros(1, 1, 4, 4)
    sigma, learn = torch.full((1, 1), 0.5), torch.ones(1, 1)
    plain = clean_loss(wrong, clean, sigma, learn, subject_weight(mask, 0.5))
    mask[..., 0, 0] = 1.0
    assert clean_loss(wrong, clean, sigma, learn, subject_weight(mask, 0.5)) > 3 * plain


def test_history_costs_nothing():
    loss = clean_loss(
        torch.ones(1, 3, 2, 4, 4),
        torch.zeros(1, 3, 2, 4, 4),
        torch.full((1, 2), 0.5),
        torch.tensor([[0.0, 1.0]]),
        torch.ones(1, 2, 4, 4),
    )
    assert loss[0, 0] == 0
    assert loss[0, 1] > 0
