"""The swastika of the Nazis in pictures: a tilted hooked cross whose arms bend to the right.

Shapes that stand out from what surrounds them are cut out at several brightnesses, freed from stretching and shear by
their second moments, and compared with the symbol at every angle in polar coordinates. The same cross upright, or bent
to the left, stands on temples and is let through with a note. Other hate symbols are not looked for here.

Shapes: H height, W width, C colour channels (RGB, uint8); R rings, A angles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.safety.frames.faces import Box

RINGS: Final = 16
ANGLES: Final = 96
#: In standard deviations of the shape: further out nothing of it is left.
_REACH: Final = 2.3
#: Agreement (correlation) from which on a shape is taken for the symbol.
ALIKE: Final = 0.72
#: Degrees within which a cross counts as upright.
_UPRIGHT: Final = 20.0
_LEAST: Final = 14
_LONGEST: Final = 480
_LEVELS: Final = 8


@dataclass(frozen=True, slots=True)
class Symbol:
    """A hooked cross: how much it looks like one (0 to 1), its turn in degrees (0 is upright), and where it is."""

    likeness: float
    turn: float
    box: Box

    @property
    def tilted(self) -> bool:
        """Whether it stands on its corner, as the Nazis had it."""
        return abs(self.turn) > _UPRIGHT


def hooked_crosses(frame_HWC: np.ndarray) -> list[Symbol]:
    """The hooked crosses of a picture whose arms bend to the right.

    Args:
        frame_HWC: uint8 RGB.
    """
    scale = min(1.0, _LONGEST / max(frame_HWC.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in frame_HWC.shape[1::-1])
    small = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame_HWC
    found = []
    for mask, (left, top, width, height) in _shapes(small):
        likeness, turn = _compare(mask)
        if likeness >= ALIKE:
            box = (round(left / scale), round(top / scale), round(width / scale), round(height / scale))
            found.append(Symbol(likeness, turn, box))
    return found


def _shapes(frame_HWC: np.ndarray) -> Iterator[tuple[np.ndarray, Box]]:
    """What is brighter or darker than what is around it, at several levels of every channel and of grey."""
    grey = cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY)
    for plane in (grey, *(np.ascontiguousarray(frame_HWC[..., channel]) for channel in range(3))):
        low, high = np.percentile(plane, (1, 99))
        if high - low < 24:
            continue
        for level in np.linspace(low, high, _LEVELS + 2)[1:-1]:
            mask = (plane > level).astype(np.uint8)
            yield from _components(mask)
            yield from _components(1 - mask)


def _components(mask: np.ndarray) -> Iterator[tuple[np.ndarray, Box]]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    for number, (left, top, width, height, area) in enumerate(stats.tolist()[1:], start=1):
        # A cross of these proportions fills 40 to 75 % of its box, or half of that on its corner.
        if min(width, height) < _LEAST or not 0.2 < area / (width * height) < 0.85:
            continue
        if (width, height) == mask.shape[1::-1]:
            continue
        yield labels[top : top + height, left : left + width] == number, (left, top, width, height)


def _compare(mask: np.ndarray) -> tuple[float, float]:
    """How much a shape looks like the cross, 0 to 1, and by how many degrees it is turned."""
    polar = _polar(mask)
    if polar is None:
        return 0.0, 0.0
    spectrum = np.conj(np.fft.rfft(_template(), axis=1)) * np.fft.rfft(polar, axis=1)
    agreement = np.fft.irfft(spectrum.sum(axis=0), n=ANGLES)
    best = int(agreement.argmax())
    quarter = (best * 360 / ANGLES + 45) % 90 - 45
    return float(agreement[best]), quarter


def _polar(mask: np.ndarray) -> np.ndarray | None:
    """The shape [R, A] around its middle, freed of stretching and shear; mean 0 and length 1. None for a line."""
    points = np.argwhere(mask).astype(np.float64)
    middle = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((points - middle).T))
    if values[0] <= 1e-3 * values[1] or values[0] < 1:
        return None
    widen = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    radius = _REACH * (np.arange(RINGS) + 0.5) / RINGS
    angle = 2 * np.pi * np.arange(ANGLES) / ANGLES
    circle = np.stack([np.outer(radius, np.sin(angle)), np.outer(radius, np.cos(angle))])
    at = np.rint(np.einsum("ij,jra->ira", widen, circle) + middle[:, None, None]).astype(int)
    inside = (at >= 0).all(axis=0) & (at[0] < mask.shape[0]) & (at[1] < mask.shape[1])
    polar = np.zeros((RINGS, ANGLES))
    polar[inside] = mask[at[0][inside], at[1][inside]]
    # Every point of a ring stands for an area that grows with the radius.
    polar = (polar - polar.mean()) * np.sqrt(radius)[:, None]
    length = float(np.linalg.norm(polar))
    return polar / length if length else None


@cache
def _template() -> np.ndarray:
    """The upright cross with arms that bend to the right, on five by five squares."""
    squares = np.array([[1, 0, 1, 1, 1], [1, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1], [1, 1, 1, 0, 1]], np.uint8)
    polar = _polar(np.kron(squares, np.ones((24, 24), np.uint8)) > 0)
    assert polar is not None
    return polar
