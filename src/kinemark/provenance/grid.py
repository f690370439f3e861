"""Small maps that the marks and fingerprints share: luma, scaling, sampling between pixels, the DCT, even choice."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 256
"""Side of the canonical square grid on which clips of every size are compared."""

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""BT.709 weights of R, G, B."""

_BLOCK: Final = 16
"""Rows that are blurred at a time."""


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


def resampled(plane_HW: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """A plane at another size: area means where it gets smaller, linear interpolation where it gets larger."""
    rows, columns = plane_HW.shape
    if height != rows:
        plane_HW = (area_matrix if height < rows else linear_matrix)(height, rows) @ plane_HW
    if width != columns:
        plane_HW = plane_HW @ (area_matrix if width < columns else linear_matrix)(width, columns).T
    return plane_HW


class Sampler:
    """Bilinear samples of pictures of one size at fixed positions about their centre; 0 outside."""

    def __init__(self, size: tuple[int, int], x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        rows, columns = size
        column, row = x + (columns - 1) / 2, y + (rows - 1) / 2
        self._inside = (column > -0.5) & (column < columns - 0.5) & (row > -0.5) & (row < rows - 0.5)
        column, row = np.clip(column, 0, columns - 1.001), np.clip(row, 0, rows - 1.001)
        left, top = column.astype(np.int64), row.astype(np.int64)
        self._part_x, self._part_y = (column - left).astype(np.float32), (row - top).astype(np.float32)
        self._corner, self._columns = top * columns + left, columns

    def __call__(self, picture_HW: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples of one plane [H, W], shaped as the positions are."""
        flat, corner, below = picture_HW.ravel(), self._corner, self._corner + self._columns
        upper = flat[corner] * (1 - self._part_x) + flat[corner + 1] * self._part_x
        lower = flat[below] * (1 - self._part_x) + flat[below + 1] * self._part_x
        return np.asarray((upper * (1 - self._part_y) + lower * self._part_y) * self._inside, np.float32)


def spread(start: int, stop: int, most: int) -> NDArray[np.int64]:
    """Up to `most` whole numbers of [start, stop), evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(start, stop - 1, min(stop - start, most)).round().astype(np.int64))


@lru_cache(maxsize=16)
def gaussian_matrix(length: int, sigma: float) -> NDArray[np.float32]:
    """Blurring matrix [length, length]; `sigma` in pixels; rows sum to 1, also at the border."""
    index = np.arange(length)
    weight = np.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float32)


def blurred(plane_HW: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """A plane under a narrow Gaussian of `sigma` pixels, cut off at 3 sigma; 0 outside the plane.

    Block by block of a few rows, since far from the diagonal `gaussian_matrix` is 0: a fifth of
    the time of its product.
    """
    band = _band(sigma)
    reach = (band.shape[1] - _BLOCK) // 2
    for _ in range(2):
        # Along the rows, then turned over: after both the plane is upright again.
        rows, columns = plane_HW.shape
        blocks = -(-rows // _BLOCK)
        padded = np.zeros((blocks * _BLOCK + 2 * reach, columns), np.float32)
        padded[reach : reach + rows] = plane_HW
        turned = np.empty((columns, blocks * _BLOCK), np.float32)
        window_BNC = np.lib.stride_tricks.sliding_window_view(padded, (band.shape[1], columns))[::_BLOCK, 0]
        np.matmul(window_BNC.swapaxes(1, 2), band.T, out=turned.reshape(columns, blocks, _BLOCK).swapaxes(0, 1))
        plane_HW = turned[:, :rows]
    return plane_HW


@lru_cache(maxsize=4)
def _band(sigma: float) -> NDArray[np.float32]:
    """What blurs a block of rows: weights [16, 16 + 2 x 3 sigma] of the rows around it; rows sum to 1."""
    reach = round(3 * sigma)
    away = np.arange(_BLOCK + 2 * reach) - np.arange(_BLOCK)[:, None] - reach
    weight = np.where(np.abs(away) <= reach, np.exp(-0.5 * (away / sigma) ** 2), 0.0)
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
