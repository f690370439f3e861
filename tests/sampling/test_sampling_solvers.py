"""Solvers against a flow whose solution is known: that of Gaussian data."""

import math

import pytest
import torch

from kinemark.sampling.flow import per_slot, velocity_from_clean
from kinemark.sampling.schedule import noise_matrix, shifted_sigmas
from kinemark.sampling.solvers import adams_bashforth, euler, integrate

MEAN, SPREAD = 0.7, 0.4


def spread_at(sigma):
    """Standard deviation of x = (1 - sigma) clean + sigma noise for clean ~ N(MEAN, SPREAD^2)."""
    return ((1 - sigma) ** 2 * SPREAD**2 + sigma**2) ** 0.5


def gaussian_velocity(x_BCFHW, sigma_BF):
    """The exact velocity: the clean prediction is the posterior mean E[clean | x]."""
    sigma = per_slot(sigma_BF)
    share = (1 - sigma) * SPREAD**2 / spread_at(sigma) ** 2
    clean_BCFHW = MEAN + share * (x_BCFHW - (1 - sigma) * MEAN)
    return velocity_from_clean(x_BCFHW, clean_BCFHW, sigma)


def exact(x_BCFHW, sigma, end):
    """Every x keeps its standard score on the way: x(s) = (1 - s) MEAN + spread(s) z."""
    return (1 - end) * MEAN + spread_at(end) * (x_BCFHW - (1 - sigma) * MEAN) / spread_at(sigma)


def error(solver, steps, shift=1.0):
    x_BCFHW = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma_SF = noise_matrix(shifted_sigmas(steps, shift).double(), torch.ones(2, dtype=torch.float64))
    end_BCFHW = integrate(gaussian_velocity, x_BCFHW, sigma_SF, solver)
    return (end_BCFHW - exact(x_BCFHW, 1.0, 0.0)).abs().max().item()


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (adams_bashforth, 2)])
def test_order_of_convergence(solver, order, shift):
    coarse, fine = error(solver, 160, shift), error(solver, 320, shift)
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


def test_second_order_is_worth_it():
    assert error(adams_bashforth, 12) < 0.5 * error(euler, 12)


@pytest.mark.parametrize("solver", [euler, adams_bashforth])
def test_slots_at_different_levels_do_not_disturb_each_other(solver):
    """A slot that joins late is solved as if it had been alone: its history begins when it joins."""
    x_BCFHW = torch.randn(1, 2, 3, 4, 4, dtype=torch.float64)
    cap_F = torch.tensor([1.0, 0.63, 0.0], dtype=torch.float64)
    sigma_S = shifted_sigmas(12, 2.0).double()
    together = integrate(gaussian_velocity, x_BCFHW, noise_matrix(sigma_S, cap_F), solver)
    for slot in range(3):
        alone_SF = noise_matrix(sigma_S, cap_F[slot : slot + 1])
        alone = integrate(gaussian_velocity, x_BCFHW[:, :, slot : slot + 1], alone_SF, solver)
        assert torch.allclose(together[:, :, slot : slot + 1], alone, atol=1e-12)
    assert torch.equal(together[:, :, 2], x_BCFHW[:, :, 2]), "what is given exactly stays exactly"


def test_second_order_holds_for_a_slot_that_joins_late():
    cap_F = torch.tensor([0.5, 1.0], dtype=torch.float64)
    x_BCFHW = torch.randn(1, 2, 2, 4, 4, dtype=torch.float64)
    errors = []
    for steps in (80, 160):
        sigma_SF = noise_matrix(shifted_sigmas(steps).double(), cap_F)
        end_BCFHW = integrate(gaussian_velocity, x_BCFHW, sigma_SF, adams_bashforth)
        errors.append((end_BCFHW - exact(x_BCFHW, per_slot(cap_F), 0.0))[:, :, 0].abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.25)


def test_steps_are_pure():
    x, v = torch.randn(1, 2, 2, 4, 4), torch.randn(1, 2, 2, 4, 4)
    before = x.clone()
    adams_bashforth(x, v, torch.ones(2), torch.full((2,), 0.5), None)
    assert torch.equal(x, before)


def test_the_watcher_sees_every_step_and_changes_nothing():
    seen = []

    def watch(x_BCFHW, sigma_F, velocity_BCFHW):
        seen.append(float(sigma_F))

    sigma_SF = noise_matrix(shifted_sigmas(5), torch.ones(1))
    x_BCFHW = torch.randn(1, 2, 1, 4, 4)
    watched = integrate(gaussian_velocity, x_BCFHW, sigma_SF, euler, watch)
    assert seen == sigma_SF[:-1, 0].tolist()
    assert torch.equal(watched, integrate(gaussian_velocity, x_BCFHW, sigma_SF, euler))


def test_the_last_step_ends_on_what_is_taken_for_clean():
    """However much two predictions disagree, nothing is extrapolated to sigma = 0."""
    answers = []

    def undecided(x, sigma_BF):
        answers.append((x, torch.randn(x.shape, generator=torch.Generator().manual_seed(len(answers)))))
        return answers[-1][1]

    sigma_SF = torch.tensor([[1.0], [0.6], [0.3], [0.0]])
    end = integrate(undecided, torch.ones(1, 2, 1, 4, 4), sigma_SF, adams_bashforth)
    x, velocity = answers[-1]
    torch.testing.assert_close(end, x - 0.3 * velocity)
