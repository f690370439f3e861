"""Noise levels over the steps of a sampler: one row of levels for each step, one column for each slot.

Shape suffixes: S rows (one more than steps), F slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kinemark.model.configs import TIMESTEPS

Schedule = Callable[[int], Tensor]
"""Number of steps -> the levels `[steps + 1]` from the first to 0."""


@dataclass(frozen=True, slots=True)
class Shifted:
    """`shifted_sigmas` for any number of steps."""

    shift: float = 1.0

    def __call__(self, steps: int) -> Tensor:
        """The levels of so many steps."""
        return shifted_sigmas(steps, self.shift)


@dataclass(frozen=True, slots=True)
class WanLevels:
    """The levels that diffusers samples Wan at (`use_flow_sigmas`): from just below 1, over shifted 1 ... 1/1000, to 0.

    They begin below 1 because its solvers step in the logarithm of the signal-to-noise ratio.
    """

    shift: float

    def __call__(self, steps: int) -> Tensor:
        """The levels of so many steps."""
        u_S = torch.linspace(1, 1 / TIMESTEPS, steps + 1, dtype=torch.float64)[:-1]
        sigma_S = (self.shift * u_S / (1 + (self.shift - 1) * u_S)).clamp(max=1 - 1e-6)
        return torch.cat((sigma_S, torch.zeros(1, dtype=torch.float64))).float()


@dataclass(frozen=True, slots=True)
class Listed:
    """The levels that a distilled model was trained at, a list for each number of steps, without the last, 0."""

    lists: tuple[tuple[float, ...], ...]

    def __call__(self, steps: int) -> Tensor:
        """Return the list of so many steps.

        Raises:
            ValueError: there is none.
        """
        for levels in self.lists:
            if len(levels) == steps:
                return torch.tensor((*levels, 0.0))
        known = " or ".join(str(len(levels)) for levels in self.lists)
        raise ValueError(f"steps is {steps}; this model was distilled to sample in {known} steps")


def listed(*lists: tuple[float, ...], shift: float = 1.0) -> Listed:
    """Levels at timesteps (0 to 1000) that were published before they are shifted, and are not rounded after it."""

    def warped(timestep: float) -> float:
        u = timestep / TIMESTEPS
        return shift * u / (1 + (shift - 1) * u)

    return Listed(tuple(tuple(map(warped, timesteps)) for timesteps in lists))


def shifted_sigmas(steps: int, shift: float = 1.0) -> Tensor:
    """Levels `[steps + 1]` from 1 to 0: u evenly spaced, then s u / (1 + (s - 1) u).

    A shift s > 1 spends more of the steps at high noise, where the scene is decided (Esser et al., arXiv 2403.03206,
    equation 23; Wan's `flow_shift`).

    Raises:
        ValueError: steps is less than 1, or shift is not positive.
    """
    if steps < 1 or not shift > 0:
        raise ValueError(f"steps is {steps} and shift is {shift}; steps is at least 1, and shift is greater than 0")
    # In double precision, so that the first level is 1 exactly after rounding.
    u_S = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * u_S / (1 + (shift - 1) * u_S)).float()


def noise_matrix(sigma_S: Tensor, cap_F: Tensor) -> Tensor:
    """The level of every slot at every step, `[S, F]`: min(sigma, cap), so that a given slot waits for its turn.

    Rows that repeat the row before are left out: while all slots wait, nothing has to be computed. (The scheduling
    matrix of Diffusion Forcing, arXiv 2407.01392, for given frames of any noise level.)
    """
    sigma_SF = torch.minimum(sigma_S[:, None], cap_F[None, :])
    changed_S = torch.ones(len(sigma_SF), dtype=torch.bool, device=sigma_SF.device)
    changed_S[1:] = (sigma_SF[1:] != sigma_SF[:-1]).any(dim=1)
    return sigma_SF[changed_S]
