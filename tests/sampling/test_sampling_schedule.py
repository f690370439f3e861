"""Noise levels over steps and slots."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinemark.sampling.schedule import Shifted, WanLevels, listed, noise_matrix, shifted_sigmas
from wan_like import unipc_scheduler

caps = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6)


@given(st.integers(1, 60), st.floats(0.2, 12))
def test_levels_fall_from_noise_to_clean(steps, shift):
    sigma_S = shifted_sigmas(steps, shift)
    assert len(sigma_S) == steps + 1
    assert sigma_S[0] == 1
    assert sigma_S[-1] == 0
    assert (sigma_S.diff() < 0).all()


def test_shift_is_that_of_wan():
    # Self-Forcing's step list 1000, 750, 500, 250 under shift 5.
    assert torch.allclose(shifted_sigmas(4, 5.0) * 1000, torch.tensor([1000, 937.5, 833.3333, 625, 0]), atol=1e-3)
    assert torch.allclose(shifted_sigmas(4), torch.tensor([1, 0.75, 0.5, 0.25, 0]))


@pytest.mark.parametrize(("steps", "shift"), [(0, 1.0), (-3, 1.0), (4, 0.0), (4, float("nan"))])
def test_impossible_schedules_are_errors(steps, shift):
    with pytest.raises(ValueError, match="steps is at least 1"):
        shifted_sigmas(steps, shift)


@pytest.mark.parametrize("shift", [1.0, 3.0, 12.0])
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_levels_of_wan_are_those_of_diffusers(steps, shift):
    scheduler = unipc_scheduler(shift)
    scheduler.set_timesteps(steps)
    assert torch.equal(WanLevels(shift)(steps), scheduler.sigmas)


def test_published_lists_are_shifted_and_not_rounded():
    rolling = listed((1000, 800, 600, 400, 200), shift=5.0)
    expected = torch.tensor([1000, 952.381, 882.3529, 769.2308, 555.5556, 0.0])
    torch.testing.assert_close(rolling(5) * 1000, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(listed((1000, 750, 500, 250), shift=5.0)(4), Shifted(5.0)(4))


def test_a_distilled_model_has_a_list_for_each_number_of_steps():
    schedule = listed((1000, 750, 500, 250), (1000, 500))
    assert schedule(2).tolist() == [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="steps is 3; this model was distilled to sample in 4 or 2 steps"):
        schedule(3)


@given(st.integers(1, 30), caps)
def test_every_slot_waits_at_its_cap_and_ends_clean(steps, cap):
    cap_F = torch.tensor(cap)
    sigma_S = shifted_sigmas(steps, 3.0)
    sigma_SF = noise_matrix(sigma_S, cap_F)
    assert torch.equal(sigma_SF[0], cap_F)
    assert (sigma_SF[-1] == 0).all()
    assert (sigma_SF <= cap_F).all()
    assert (sigma_SF.diff(dim=0) <= 0).all()
    assert (sigma_SF[1:] != sigma_SF[:-1]).any(dim=1).all(), "a row that repeats the last is a step for nothing"
    free = noise_matrix(sigma_S, torch.cat((cap_F, torch.ones(1))))
    assert torch.equal(free[:, -1], sigma_S), "a slot that is free follows the schedule"
    assert torch.equal(free[:, :-1], torch.minimum(sigma_S[:, None], cap_F))


def test_given_slots_take_no_steps():
    assert noise_matrix(shifted_sigmas(20), torch.zeros(3)).shape == (1, 3)
