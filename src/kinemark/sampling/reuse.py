"""Answers that are used for more than one step, where the next would hardly differ: fewer passes of many-step samplers.

Between two answers the velocity changed by a share r of its size, over so many levels; at that rate it is foretold how
far it would change further. As long as what is foretold stays within a bound, the last answer stands. (TeaCache, Liu et
al., arXiv 2411.19108, section 3, foretells from a block's input instead, with a polynomial fitted for each model; the
rate at which answers changed needs none.) The bound is on each velocity that is used, as a share of its size, as
foretold; what becomes of the latents is measured in docs/log.md.

Shape suffixes: B batch, C channels, F slots, H W latent size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from kinemark.sampling.solvers import Velocity


class Reusing:
    """A velocity that answers with what it last gave while that would hardly change; for one solution, once through."""

    def __init__(self, velocity: Velocity, bound: float) -> None:
        self._velocity, self._bound = velocity, bound
        self._last: tuple[float, Tensor] | None = None
        self._rate: float | None = None

    def __call__(self, x_BCFHW: Tensor, sigma_BF: Tensor) -> Tensor:
        """The velocity at these levels, or the last one that was asked for."""
        level = float(sigma_BF.max())
        if self._last is None:
            return self._ask(x_BCFHW, sigma_BF, level)
        distance = abs(self._last[0] - level)
        if self._rate is not None and self._rate * distance <= self._bound:
            return self._last[1]
        before = self._last[1]
        velocity_BCFHW = self._ask(x_BCFHW, sigma_BF, level)
        change = float((velocity_BCFHW - before).norm() / velocity_BCFHW.norm().clamp(min=1e-12))
        self._rate = change / max(distance, 1e-12)
        return velocity_BCFHW

    def _ask(self, x_BCFHW: Tensor, sigma_BF: Tensor, level: float) -> Tensor:
        velocity_BCFHW = self._velocity(x_BCFHW, sigma_BF)
        self._last = level, velocity_BCFHW
        return velocity_BCFHW
