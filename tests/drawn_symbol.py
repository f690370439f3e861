"""Hooked crosses drawn into frames, to prove that they are found."""

import cv2
import numpy as np

#: Upright, with arms that bend to the right.
SQUARES = np.array([[1, 0, 1, 1, 1], [1, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1], [1, 1, 1, 0, 1]], np.uint8)


def with_cross(
    frame_HWC: np.ndarray, *, turn: float, size: int = 90, shear: float = 0.0, mirrored: bool = False
) -> np.ndarray:
    """A copy of a frame with a black cross on a white disc in its middle, turned by degrees."""
    height, width = frame_HWC.shape[:2]
    squares = SQUARES[:, ::-1] if mirrored else SQUARES
    stamp = np.zeros((160, 160), np.float32)
    stamp[30:130, 30:130] = np.kron(squares, np.ones((20, 20), np.uint8))
    move = cv2.getRotationMatrix2D((80, 80), turn, size / 100)
    move[:, 2] += (width / 2 - 80, height / 2 - 80)
    move[0] += shear * move[1]
    move[0, 2] -= shear * height / 2
    mask = cv2.warpAffine(stamp, move, (width, height))[..., None]
    disc = np.zeros((height, width), np.float32)
    cv2.circle(disc, (width // 2, height // 2), int(0.85 * size), 1, -1)
    lit = frame_HWC * (1 - disc[..., None]) + 240 * disc[..., None]
    return np.clip(lit * (1 - mask) + 10 * mask, 0, 255).astype(np.uint8)
