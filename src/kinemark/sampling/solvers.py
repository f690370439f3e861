"""Solvers of dx/dsigma = velocity(x, sigma): each step is a pure function of the present and the step before.

Every slot has its own noise level. Where a slot's level did not change in the step before (it waited, and joins now),
what is remembered of it is of no use to a multistep method, which then falls back to Euler for that slot.

Shape suffixes: B batch, C channels, F slots, H W latent size, S rows of the noise matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from kinemark.sampling.flow import per_slot

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x_BCFHW, sigma_BF) -> velocity_BCFHW."""
Watcher = Callable[[Tensor, Tensor, Tensor], None]
"""Told (x_BCFHW, sigma_F, velocity_BCFHW) at each step."""


@dataclass(frozen=True, slots=True)
class Past:
    """The step before: from which levels `[F]` it went, and with which velocity."""

    sigma_F: Tensor
    velocity_BCFHW: Tensor


Step = Callable[[Tensor, Tensor, Tensor, Tensor, Past | None], Tensor]
"""(x_BCFHW, velocity_BCFHW, sigma_F, next_sigma_F, the step before) -> x_BCFHW at the next levels."""


def euler(x: Tensor, velocity: Tensor, sigma_F: Tensor, next_F: Tensor, past: Past | None) -> Tensor:  # noqa: ARG001
    """First order: x + h v."""
    return x + per_slot(next_F - sigma_F) * velocity


def adams_bashforth(x: Tensor, velocity: Tensor, sigma_F: Tensor, next_F: Tensor, past: Past | None) -> Tensor:
    """Second order: x + h v + h^2 / (2 h') (v - v'), Adams-Bashforth after a step of another size h'.

    Asks for one velocity a step, like Euler (Hairer, Norsett, Wanner: Solving Ordinary Differential Equations I,
    section III.5). A step that ends at 0 is Euler's, so that it ends on what the network takes for clean: extrapolating
    there would add half of what two predictions disagree in, which is mostly noise.
    """
    forward = euler(x, velocity, sigma_F, next_F, None)
    if past is None:
        return forward
    h_F, before_F = next_F - sigma_F, sigma_F - past.sigma_F
    straight_F = (before_F == 0) | (next_F == 0)
    bend_F = torch.where(straight_F, 0.0, h_F**2 / (2 * torch.where(before_F == 0, 1.0, before_F)))
    return forward + per_slot(bend_F) * (velocity - past.velocity_BCFHW)


def integrate(
    velocity: Velocity, x_BCFHW: Tensor, sigma_SF: Tensor, step: Step, watch: Watcher | None = None
) -> Tensor:
    """Follow the velocity from the first row of a noise matrix to the last.

    Args:
        velocity: of all slots, each at its level.
        x_BCFHW: latents at the levels of the first row.
        sigma_SF: the noise matrix; a slot whose level stays is left exactly as it is.
        step: `euler` or `adams_bashforth`.
        watch: told at each step.
    """
    past: Past | None = None
    for sigma_F, next_F in pairwise(sigma_SF):
        velocity_BCFHW = velocity(x_BCFHW, sigma_F.expand(len(x_BCFHW), -1))
        if watch is not None:
            watch(x_BCFHW, sigma_F, velocity_BCFHW)
        x_BCFHW = step(x_BCFHW, velocity_BCFHW, sigma_F, next_F, past)
        past = Past(sigma_F, velocity_BCFHW)
    return x_BCFHW
