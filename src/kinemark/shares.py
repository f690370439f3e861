"""A share of trials with its interval: how every rate in this project is told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, as a rate with its interval."""

    hits: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.n:
            raise ValueError(f"{self.hits} of {self.n} is not a share")

    @property
    def rate(self) -> float:
        """The share in 0..1; NaN of nothing."""
        return self.hits / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return self.interval_at(0.95)

    def interval_at(self, confidence: float) -> tuple[float, float]:
        """The Wilson score interval (Wilson 1927; Brown, Cai and DasGupta 2001, eq. 4); 0..1 of nothing."""
        if not self.n:
            return 0.0, 1.0
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        shrink = 1 + z * z / self.n
        centre = (self.rate + z * z / (2 * self.n)) / shrink
        reach = z / shrink * math.sqrt(self.rate * (1 - self.rate) / self.n + z * z / (4 * self.n**2))
        return max(0.0, centre - reach), min(1.0, centre + reach)

    def __str__(self) -> str:
        """The rate with its interval and n, as it is printed."""
        low, high = self.interval
        return f"{self.rate:.1%} ({low:.1%} to {high:.1%}, n = {self.n})"
