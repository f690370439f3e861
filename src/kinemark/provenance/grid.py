"""Small linear maps that watermark and fingerprint share: luma, exact area scaling, the DCT."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 256
"""Side of the canonical square grid on which clips of every size are compared."""

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""BT.709 weights of R, G, B."""


@lru_cache(maxsize=16)
def area_matrix(cells: int, length: int) -> NDArray[np.float32]:
    """Averaging matrix [cells, length]: exact area means, also where a cell begins or ends inside a pixel."""
    edges = np.arange(cells + 1) * length / cells
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(overlap, 0) * cells / length, np.float32)


@lru_cache(maxsize=16)
def linear_matrix(length: int, cells: int) -> NDArray[np.float32]:
    """Linear interpolation matrix [length, cells] from cell centres to pixel centres."""
    position = np.clip((np.arange(length) + 0.5) * cells / length - 0.5, 0, cells - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(position[:, None] - np.arange(cells))), np.float32)


@lru_cache(maxsize=16)
def gaussian_matrix(length: int, sigma: float) -> NDArray[np.float32]:
    """Blurring matrix [length, length]; `sigma` in pixels; rows sum to 1, also at the border."""
    index = np.arange(length)
    weight = np.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


@lru_cache(maxsize=16)
def dct_matrix(rows: int, length: int) -> NDArray[np.float64]:
    """The first `rows` functions of the DCT-II at `length` pixel centres; orthonormal for rows = length."""
    phase = np.pi / length * np.outer(np.arange(rows), np.arange(length) + 0.5)
    basis = np.cos(phase) * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis


@lru_cache(maxsize=4)
def radius(side: int) -> NDArray[np.float64]:
    """Distance of every DCT index [side, side] from the constant."""
    index = np.arange(side)
    return np.hypot(index[:, None], index[None, :])
