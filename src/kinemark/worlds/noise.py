"""Deterministic randomness for pictures: a hash of (seed, stream, cell), the same on every device and in every batch.

No generator is ever advanced, so what an item looks like cannot depend on what stands beside it in a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

_MASK: Final = 0xFFFFFFFF
#: Below 2^31, so that a 32-bit value times it stays inside int64 (C. Wellons, "Prospecting for hash functions").
_MULTIPLIER: Final = 0x45D9F3B
#: Steps of the additive recurrences of Roberts' R2 sequence: spread a cell index evenly over [0, 1).
_R2: Final = (0.7548776662466927, 0.5698402909980532)


def _mix(value: Tensor) -> Tensor:
    value = ((value ^ (value >> 16)) * _MULTIPLIER) & _MASK
    value = ((value ^ (value >> 16)) * _MULTIPLIER) & _MASK
    return value ^ (value >> 16)


def hashed(seed: Tensor, stream: int, cell: Tensor | None = None) -> Tensor:
    """Hash (seed, stream[, cell]) to 32 bits.

    Args:
        seed: int64, any shape.
        stream: which of the many independent draws of a scene this is.
        cell: int64, broadcast against `seed`; negative cells are fine.

    Returns:
        int64 in [0, 2^32), of the broadcast shape.
    """
    value = _mix((seed & _MASK) ^ 0x9E3779B9)
    value = _mix(value ^ ((seed >> 32) & _MASK))
    value = _mix(value ^ (stream * 0x27D4EB2F & _MASK))
    return value if cell is None else _mix(value ^ _mix(cell & _MASK))


def uniform(seed: Tensor, stream: int, cell: Tensor | None = None) -> Tensor:
    """float32 in [0, 1), hashed from (seed, stream[, cell]); 24 bits, so that 1 is never reached."""
    return (hashed(seed, stream, cell) >> 8).to(torch.float32) * 2.0**-24


def spread(cell: Tensor, offset: Tensor, axis: int = 0) -> Tensor:
    """float32 in [0, 1): a low-discrepancy value per cell, far cheaper per pixel than a hash.

    Args:
        cell: whole numbers as float32.
        offset: an item's own offset, broadcast against `cell`.
        axis: 0 or 1, two sequences that are independent enough to place something in a plane.
    """
    return torch.frac(torch.frac(cell * _R2[axis] + offset) + 1.0)
