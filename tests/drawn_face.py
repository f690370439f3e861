"""A face drawn from ellipses, which is of nobody and looks like one to a detector."""

import cv2
import numpy as np


def drawn_face(side: int = 256, *, centre: tuple[int, int] | None = None, size: int = 160) -> np.ndarray:
    """A grey picture [side, side, 3] with a face of about `size` pixels."""
    picture = np.full((side, side, 3), 150, np.uint8)
    at = centre or (side // 2, side // 2)

    def oval(x: float, y: float, wide: float, high: float, colour: tuple[int, int, int]) -> None:
        middle = (int(at[0] + x * size), int(at[1] + y * size))
        cv2.ellipse(picture, middle, (int(wide * size), int(high * size)), 0, 0, 360, colour, -1, cv2.LINE_AA)

    oval(0, -0.1, 0.46, 0.58, (60, 40, 30))
    oval(0, 0.05, 0.38, 0.5, (225, 180, 150))
    for side_ in (-1, 1):
        oval(side_ * 0.17, -0.02, 0.1, 0.055, (140, 100, 85))
        oval(side_ * 0.17, -0.1, 0.12, 0.025, (50, 35, 30))
        oval(side_ * 0.17, 0, 0.075, 0.035, (245, 245, 245))
        oval(side_ * 0.17, 0, 0.034, 0.034, (40, 30, 25))
        oval(side_ * 0.21, 0.2, 0.07, 0.06, (235, 190, 160))
    oval(0, 0.12, 0.035, 0.1, (240, 200, 170))
    oval(0, 0.2, 0.075, 0.02, (170, 120, 100))
    oval(0, 0.33, 0.14, 0.035, (150, 70, 70))
    oval(0, 0.42, 0.16, 0.03, (215, 165, 140))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2))
