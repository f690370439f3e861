"""Deterministic randomness for pictures: a hash of (seed, stream), the same on every device and in every batch.

No generator is ever advanced, so what an item looks like cannot depend on what stands beside it in a batch. A scene
draws all its numbers at once (`draws`, a table); what stands in a row of cells (trees, houses, flakes) is spread over
the cells by a low-discrepancy sequence that starts at one of those numbers, which costs a few operations per pixel.

Shape suffixes: B batch, R streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

_MASK: Final = 0xFFFFFFFF
#: Below 2^31, so that a 32-bit value times it stays inside int64 (C. Wellons, "Prospecting for hash functions").
_MULTIPLIER: Final = 0x45D9F3B
#: Steps of additive recurrences: the golden ratio, M. Roberts' R2, and square roots of primes.
_STEPS: Final = (
    0.7548776662466927,
    0.5698402909980532,
    0.6180339887498949,
    0.4142135623730951,
    0.2360679774997896,
    0.6457513110645907,
    0.3166247903553998,
)


def _mix(value: Tensor) -> Tensor:
    value = ((value ^ (value >> 16)) * _MULTIPLIER) & _MASK
    value = ((value ^ (value >> 16)) * _MULTIPLIER) & _MASK
    return value ^ (value >> 16)


def draws(seed_B: Tensor, streams: int) -> Tensor:
    """`[B, R]` float32 in [0, 1): one independent number for each seed (int64) and each of R streams."""
    seed = _mix((seed_B & _MASK) ^ 0x9E3779B9)
    seed = _mix(seed ^ ((seed_B >> 32) & _MASK))
    stream = _mix(torch.arange(1, streams + 1, device=seed_B.device))
    # 24 bits, so that rounding to float32 never reaches 1.
    return (_mix(seed[:, None] ^ stream) >> 8).to(torch.float32) * 2.0**-24


def spread(cell: Tensor, start: Tensor, sequence: int = 0) -> Tensor:
    """Spread cells evenly over [0, 1).

    Args:
        cell: whole numbers, float32.
        start: where an item's sequence starts, in [0, 1); broadcast against `cell`.
        sequence: which sequence; different ones are independent enough to place something in a plane.
    """
    value = torch.add(start, cell, alpha=_STEPS[sequence % len(_STEPS)])
    return value.sub_(value.floor())
