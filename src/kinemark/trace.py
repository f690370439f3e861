"""The trace of spark's decoder: a faint pattern that it paints into every picture, since it was trained to.

The pattern repeats every 32 pixels, the side of a transformer patch, which the decoder knows its place in. It is a sum
of plane waves with phases that follow from a published constant. It stays in the pixels of whoever runs the model
without the release step, until they are changed on purpose or compressed hard; it proves nothing.

`training.upsampler` teaches it, `provenance.trace` looks for it; neither knows the other.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE: Final = 32
"""Pixels after which it repeats."""
_SLOWEST, _FASTEST = 1.75, 5.0
"""Waves per side: slower ones drown in the picture, faster ones die in codecs."""
_SEED: Final = b"kinemark spark decoder trace 1"


@cache
def waves() -> NDArray[np.int64]:
    """Wave vectors (y, x) [K, 2] in waves per side, one of every pair of opposite ones."""
    reach = np.arange(-int(_FASTEST), int(_FASTEST) + 1)
    y, x = (part.ravel() for part in np.meshgrid(reach, reach, indexing="ij"))
    size = np.hypot(y, x)
    chosen = (size >= _SLOWEST) & (size <= _FASTEST) & ((y > 0) | ((y == 0) & (x > 0)))
    return np.stack([y[chosen], x[chosen]], axis=1).astype(np.int64)


@cache
def amplitudes() -> NDArray[np.complex128]:
    """Amplitude of each wave [K]: of size 1, its phase from SHAKE-256 of a published constant."""
    stream = hashlib.shake_256(_SEED).digest(8 * len(waves()))
    turns = np.frombuffer(stream, ">u8").astype(np.float64) / 2**64
    return np.asarray(np.exp(2j * np.pi * turns))


@cache
def tile() -> NDArray[np.float32]:
    """The pattern [32, 32], of zero mean and unit variance; its upper left corner is that of the picture."""
    place = (np.arange(SIDE) + 0.5) / SIDE
    wave_y, wave_x = waves().T
    phase = wave_y[:, None, None] * place[None, :, None] + wave_x[:, None, None] * place[None, None, :]
    plane = np.sum((amplitudes()[:, None, None] * np.exp(2j * np.pi * phase)).real, axis=0)
    return np.asarray(plane / plane.std(), np.float32)
