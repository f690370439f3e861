"""Solvers of dx/dsigma = velocity(x, sigma): each step is a pure function of the present and of what the last one left.

Every slot has its own noise level. Where a slot's level did not change in the step before (it waited, and joins now),
what is remembered of it is of no use to a multistep method, which then falls back to Euler for that slot.

Shape suffixes: B batch, C channels, F slots, H W latent size, S rows of the noise matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from kinemark.sampling.flow import clean_from_velocity, noised, per_slot

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_BCFHW, sigma_BF) -> velocity_BCFHW."""
Watcher = Callable[[Tensor, Tensor, Tensor], None]
"""Told (x_BCFHW, sigma_F, velocity_BCFHW) at each step."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a step leaves to the next one.

    Attributes:
        x_BCFHW: where it set out.
        sigma_F: from which levels.
        told_BCFHW: what the network told there, as the solver counts it: a velocity, or clean latents.
        earlier: what the step before had left to it; nothing further back is kept.
    """

    x_BCFHW: Tensor
    sigma_F: Tensor
    told_BCFHW: Tensor
    earlier: Past | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a step sets out: latents at their levels, the velocity there, where to go, and what is left by others."""

    x_BCFHW: Tensor
    velocity_BCFHW: Tensor
    sigma_F: Tensor
    next_F: Tensor
    past: Past | None
    fresh: Callable[[], Tensor]
    """New noise for all slots."""


Step = Callable[[Moment], tuple[Tensor, Past | None]]
"""Where a step sets out -> x_BCFHW at the next levels, and what it leaves to the next step."""


def euler(now: Moment) -> tuple[Tensor, None]:
    """First order: x + h v."""
    return _straight(now), None


def adams_bashforth(now: Moment) -> tuple[Tensor, Past]:
    """Second order: x + h v + h^2 / (2 h') (v - v'), Adams-Bashforth after a step of another size h'.

    Asks for one velocity a step, like Euler (Hairer, Norsett, Wanner: Solving Ordinary Differential Equations I,
    section III.5). A step that ends at 0 is Euler's, so that it ends on what the network takes for clean: extrapolating
    there would add half of what two predictions disagree in, which is mostly noise.
    """
    left = Past(now.x_BCFHW, now.sigma_F, now.velocity_BCFHW)
    if now.past is None:
        return _straight(now), left
    h_F, before_F = now.next_F - now.sigma_F, now.sigma_F - now.past.sigma_F
    straight_F = (before_F == 0) | (now.next_F == 0)
    bend_F = torch.where(straight_F, 0.0, h_F**2 / (2 * torch.where(before_F == 0, 1.0, before_F)))
    return _straight(now) + per_slot(bend_F) * (now.velocity_BCFHW - now.past.told_BCFHW), left


def dpm_solver(now: Moment) -> tuple[Tensor, Past]:
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2), for flow: second order in the clean prediction.

    With h the step in the logarithm of the signal-to-noise ratio and h' the one before, the prediction is extrapolated
    to m + h / (2 h') (m - m'). Its first order is Euler's step, which the first and the last step are.
    """
    clean_BCFHW = clean_from_velocity(now.x_BCFHW, now.velocity_BCFHW, per_slot(now.sigma_F))
    return _predicted(now.x_BCFHW, clean_BCFHW, now), Past(now.x_BCFHW, now.sigma_F, clean_BCFHW, _last(now.past))


def unipc(now: Moment) -> tuple[Tensor, Past]:
    """UniPC of second order with B(h) = e^h - 1 (arXiv 2302.04867, algorithms 5 and 6), for flow; Wan samples with it.

    The new prediction first corrects the step that led to it, at no cost; then DPM-Solver++(2M) goes on from there.
    """
    clean_BCFHW = clean_from_velocity(now.x_BCFHW, now.velocity_BCFHW, per_slot(now.sigma_F))
    x_BCFHW = now.x_BCFHW if now.past is None else _corrected(now.past, clean_BCFHW, now)
    return _predicted(x_BCFHW, clean_BCFHW, now), Past(x_BCFHW, now.sigma_F, clean_BCFHW, _last(now.past))


def renoise(now: Moment) -> tuple[Tensor, None]:
    """Take the clean prediction, and go back up with new noise: how few-step distilled models sample.

    (Consistency models, arXiv 2303.01469, algorithm 1; DMD2, arXiv 2405.14867, section 4.5.)
    """
    clean_BCFHW = clean_from_velocity(now.x_BCFHW, now.velocity_BCFHW, per_slot(now.sigma_F))
    if not now.next_F.any():
        return torch.where(per_slot(now.sigma_F > 0), clean_BCFHW, now.x_BCFHW), None
    again_BCFHW = noised(clean_BCFHW, now.fresh(), per_slot(now.next_F))
    return torch.where(per_slot(now.next_F < now.sigma_F), again_BCFHW, now.x_BCFHW), None


def _straight(now: Moment) -> Tensor:
    return now.x_BCFHW + per_slot(now.next_F - now.sigma_F) * now.velocity_BCFHW


def _last(past: Past | None) -> Past | None:
    return None if past is None else replace(past, earlier=None)


def _log_ratio(sigma_F: Tensor) -> Tensor:
    """Return log((1 - sigma) / sigma), half the logarithm of the signal-to-noise ratio, in float64."""
    return torch.log1p(-sigma_F.double()) - sigma_F.double().log()


def _reach(past: Past | None, sigma_F: Tensor, next_F: Tensor) -> Tensor:
    """Return h / h': how the step from sigma to next compares with the one before it, negative; 0 where there is none.

    There is none for a slot that waited, or waits, and for a step to 0, whose h has no end.
    """
    if past is None:
        return torch.zeros_like(sigma_F, dtype=torch.float64)
    here_F = _log_ratio(sigma_F)
    ratio_F = (_log_ratio(next_F) - here_F) / (_log_ratio(past.sigma_F) - here_F)
    of_use_F = (past.sigma_F > sigma_F) & (sigma_F > next_F) & (next_F > 0)
    return torch.where(of_use_F, ratio_F, 0.0)


def _along(x_BCFHW: Tensor, clean_BCFHW: Tensor, sigma_F: Tensor, next_F: Tensor) -> Tensor:
    """What becomes of x if `clean` is where it ends: next / sigma x + (1 - next / sigma) clean; x where it waits."""
    left_F = torch.where(sigma_F > next_F, next_F / sigma_F, 1.0)
    return torch.lerp(clean_BCFHW, x_BCFHW, per_slot(left_F))


def _predicted(x_BCFHW: Tensor, clean_BCFHW: Tensor, now: Moment) -> Tensor:
    """From x to the next levels, with the prediction extrapolated to the middle of the step."""
    if now.past is not None:
        half_F = 0.5 * _reach(now.past, now.sigma_F, now.next_F)
        clean_BCFHW = clean_BCFHW + _weighted(half_F, now.past.told_BCFHW - clean_BCFHW)
    return _along(x_BCFHW, clean_BCFHW, now.sigma_F, now.next_F)


def _corrected(past: Past, clean_BCFHW: Tensor, now: Moment) -> Tensor:
    """The step that led here, once more, now that the prediction at its end is known; x where a slot waited."""
    reach_F = _reach(past.earlier, past.sigma_F, now.sigma_F)
    moved_F = past.sigma_F > now.sigma_F
    earlier_F, end_F = _corrector_weights(_log_ratio(now.sigma_F) - _log_ratio(past.sigma_F), reach_F)
    between_BCFHW = past.told_BCFHW + _weighted(torch.where(moved_F, end_F, 0.0), clean_BCFHW - past.told_BCFHW)
    if past.earlier is not None:
        between_BCFHW = between_BCFHW + _weighted(earlier_F, past.earlier.told_BCFHW - past.told_BCFHW)
    again_BCFHW = _along(past.x_BCFHW, between_BCFHW, past.sigma_F, now.sigma_F)
    return torch.where(per_slot(moved_F), again_BCFHW, now.x_BCFHW)


def _corrector_weights(h_F: Tensor, reach_F: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of the differences to the prediction before the step's beginning, and to that at its end.

    UniPC's linear system (equation 8) for two points at r = h' / h and 1; for one point its published value of 1/2.
    """
    growth_F = torch.expm1(-h_F)
    first_F = 1 / -h_F - 1 / growth_F
    second_F = 2 * (first_F / -h_F - 0.5 / growth_F)
    two_F = reach_F != 0
    r_F = torch.where(two_F, 1 / torch.where(two_F, reach_F, 1.0), 0.0)
    earlier_F = (first_F - second_F) / (1 - r_F)
    return torch.where(two_F, earlier_F * reach_F, 0.0), torch.where(two_F, first_F - earlier_F, 0.5)


def _weighted(weight_F: Tensor, x_BCFHW: Tensor) -> Tensor:
    return per_slot(weight_F).to(x_BCFHW.dtype) * x_BCFHW


def integrate(
    velocity: Velocity,
    x_BCFHW: Tensor,
    sigma_SF: Tensor,
    step: Step,
    fresh: Callable[[int], Tensor],
    watch: Watcher | None = None,
) -> Tensor:
    """Follow the velocity from the first row of a noise matrix to the last.

    Args:
        velocity: of all slots, each at its level.
        x_BCFHW: latents at the levels of the first row.
        sigma_SF: the noise matrix; a slot whose level stays is left exactly as it is.
        step: one of this module.
        fresh: number of a step -> new noise for it, where the step mixes some in.
        watch: told at each step.
    """
    past: Past | None = None
    for number, (sigma_F, next_F) in enumerate(pairwise(sigma_SF)):
        velocity_BCFHW = velocity(x_BCFHW, sigma_F.expand(len(x_BCFHW), -1))
        if watch is not None:
            watch(x_BCFHW, sigma_F, velocity_BCFHW)
        now = Moment(x_BCFHW, velocity_BCFHW, sigma_F, next_F, past, partial(fresh, number))
        x_BCFHW, past = step(now)
    return x_BCFHW
