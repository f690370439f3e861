"""Solvers against a flow whose solution is known: that of Gaussian data."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from kinemark.sampling.flow import per_slot, velocity_from_clean
from kinemark.sampling.schedule import noise_matrix, shifted_sigmas
from kinemark.sampling.solvers import adams_bashforth, dpm_solver, euler, integrate, renoise, unipc

MEAN, SPREAD = 0.7, 0.4
ALL = [euler, adams_bashforth, dpm_solver, unipc]


def no_noise(step):
    raise AssertionError("this solver mixes nothing in")


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


def error(solver, steps, shift=1.0, first=1.0, last=0.0):
    """The largest error at the end of so many steps from one level to another."""
    x_BCFHW = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sigma_S = last + (first - last) * shifted_sigmas(steps, shift).double()
    end_BCFHW = integrate(
        gaussian_velocity, x_BCFHW, noise_matrix(sigma_S, torch.ones(2, dtype=torch.float64)), solver, no_noise
    )
    return (end_BCFHW - exact(x_BCFHW, first, last)).abs().max().item()


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize(("solver", "order"), [(euler, 1), (adams_bashforth, 2), (dpm_solver, 2), (unipc, 3)])
def test_order_of_convergence(solver, order, shift):
    """Between levels at which the signal-to-noise ratio is finite: two of the solvers step in its logarithm."""
    coarse, fine = (error(solver, steps, shift, first=0.95, last=0.05) for steps in (160, 320))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("solver", ALL[1:])
def test_second_order_is_worth_it(solver):
    assert error(solver, 12) < 0.5 * error(euler, 12)


@pytest.mark.parametrize("solver", ALL)
def test_slots_at_different_levels_do_not_disturb_each_other(solver):
    """A slot that joins late is solved as if it had been alone: its history begins when it joins."""
    x_BCFHW = torch.randn(1, 2, 3, 4, 4, dtype=torch.float64)
    cap_F = torch.tensor([1.0, 0.63, 0.0], dtype=torch.float64)
    sigma_S = shifted_sigmas(12, 2.0).double()
    together = integrate(gaussian_velocity, x_BCFHW, noise_matrix(sigma_S, cap_F), solver, no_noise)
    for slot in range(3):
        alone_SF = noise_matrix(sigma_S, cap_F[slot : slot + 1])
        alone = integrate(gaussian_velocity, x_BCFHW[:, :, slot : slot + 1], alone_SF, solver, no_noise)
        assert torch.allclose(together[:, :, slot : slot + 1], alone, atol=1e-12)
    assert torch.equal(together[:, :, 2], x_BCFHW[:, :, 2]), "what is given exactly stays exactly"


@pytest.mark.parametrize("solver", ALL[1:])
def test_second_order_holds_for_a_slot_that_joins_late(solver):
    cap_F = torch.tensor([0.5, 1.0], dtype=torch.float64)
    x_BCFHW = torch.randn(1, 2, 2, 4, 4, dtype=torch.float64)
    errors = []
    for steps in (80, 160):
        sigma_SF = noise_matrix(shifted_sigmas(steps).double(), cap_F)
        end_BCFHW = integrate(gaussian_velocity, x_BCFHW, sigma_SF, solver, no_noise)
        errors.append((end_BCFHW - exact(x_BCFHW, per_slot(cap_F), 0.0))[:, :, 0].abs().max().item())
    assert math.log2(errors[0] / errors[1]) > 1.6


@pytest.mark.parametrize("solver", [*ALL, renoise])
def test_steps_are_pure(solver):
    x = torch.randn(1, 2, 2, 4, 4)
    before = x.clone()
    integrate(gaussian_velocity, x, noise_matrix(shifted_sigmas(4), torch.ones(2)), solver, lambda step: before)
    assert torch.equal(x, before)


def test_the_watcher_sees_every_step_and_changes_nothing():
    seen = []

    def watch(x_BCFHW, sigma_F, velocity_BCFHW):
        seen.append(float(sigma_F))

    sigma_SF = noise_matrix(shifted_sigmas(5), torch.ones(1))
    x_BCFHW = torch.randn(1, 2, 1, 4, 4)
    watched = integrate(gaussian_velocity, x_BCFHW, sigma_SF, euler, no_noise, watch)
    assert seen == sigma_SF[:-1, 0].tolist()
    assert torch.equal(watched, integrate(gaussian_velocity, x_BCFHW, sigma_SF, euler, no_noise))


def test_the_last_step_ends_on_what_is_taken_for_clean():
    """However much two predictions disagree, nothing is extrapolated to sigma = 0."""
    answers = []

    def undecided(x, sigma_BF):
        answers.append((x, torch.randn(x.shape, generator=torch.Generator().manual_seed(len(answers)))))
        return answers[-1][1]

    sigma_SF = torch.tensor([[1.0], [0.6], [0.3], [0.0]])
    end = integrate(undecided, torch.ones(1, 2, 1, 4, 4), sigma_SF, adams_bashforth, no_noise)
    x, velocity = answers[-1]
    torch.testing.assert_close(end, x - 0.3 * velocity)


# Beside diffusers.


def theirs(scheduler, steps, x_BCFHW):
    """Sample with diffusers' scheduler, which sees the same velocities; return the levels that it used and the end."""
    scheduler.set_timesteps(steps)
    levels = scheduler.sigmas
    for timestep, sigma in zip(scheduler.timesteps, levels, strict=False):
        velocity = gaussian_velocity(x_BCFHW, sigma.expand(len(x_BCFHW), x_BCFHW.shape[2]))
        x_BCFHW = scheduler.step(velocity, timestep, x_BCFHW, return_dict=False)[0]
    return levels, x_BCFHW


FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers, about numpy
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 20])
@pytest.mark.parametrize(
    ("solver", "scheduler"),
    [
        (unipc, UniPCMultistepScheduler(**FLOW)),
        (dpm_solver, DPMSolverMultistepScheduler(**FLOW)),
        (euler, FlowMatchEulerDiscreteScheduler(shift=3.0)),
    ],
)
def test_equals_diffusers(solver, scheduler, steps):
    x_BCFHW = torch.randn(2, 3, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    levels, expected = theirs(scheduler, steps, x_BCFHW)
    ours = integrate(gaussian_velocity, x_BCFHW, noise_matrix(levels, torch.ones(2)), solver, no_noise)
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-5)


# New noise.


def test_new_noise_is_mixed_into_what_is_taken_for_clean():
    sigma_SF = noise_matrix(torch.tensor([1.0, 0.75, 0.25, 0.0]), torch.tensor([1.0, 0.5, 0.0]))
    given = torch.randn(1, 2, 3, 4, 4)
    new = torch.randn(3, 1, 2, 3, 4, 4)
    x = given
    for (sigma_F, next_F), noise in zip(pairwise(sigma_SF), new, strict=True):
        clean = x - per_slot(sigma_F) * gaussian_velocity(x, sigma_F[None])
        moved = per_slot(next_F < sigma_F)
        x = torch.where(moved, (1 - per_slot(next_F)) * clean + per_slot(next_F) * noise, x)
    ends = integrate(gaussian_velocity, given, sigma_SF, renoise, lambda step: new[step])
    torch.testing.assert_close(ends, x)
    assert torch.equal(ends[:, :, 2], given[:, :, 2])
    assert (ends[:, :, 1] - given[:, :, 1]).abs().max() > 0.1


def test_the_last_step_needs_no_noise():
    sigma_SF = noise_matrix(torch.tensor([0.5, 0.0]), torch.ones(1))
    x = torch.randn(1, 2, 1, 4, 4)
    end = integrate(gaussian_velocity, x, sigma_SF, renoise, no_noise)
    torch.testing.assert_close(end, integrate(gaussian_velocity, x, sigma_SF, euler, no_noise))
