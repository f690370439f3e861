"""What is left of a clip when the picture is taken out of it: the spectrum in which the marks are looked for.

To a detector the picture is the noise. Every frame is brought to the canonical plane (area 256 x 256, aspect kept), its
smooth part is subtracted and its contrast evened out, edges left out of both; frames are added up, since the marks lie
still. The spectrum of the sum is then divided by its own local size and limited, so that no texture decides.

Shapes: T frames, H W size in pixels, h w size on the canonical plane, N = 1,024 samples of the padded transform,
F = 512 of them kept around the constant.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from kinemark.provenance.grid import LUMA, blurred, gaussian_matrix, resampled
from kinemark.provenance.marks.carriers import PERIOD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames
    from kinemark.provenance.marks.carriers import Waves

    Array = NDArray[np.float32]
    Spectrum = NDArray[np.complex64]

PADDED: Final = 1024
KEPT: Final = 512
OVERSAMPLING: Final = PADDED // PERIOD
"""Samples of the spectrum per step of a wave vector."""
MAX_ASPECT: Final = 3.0
_INDEX: Final = np.arange(-KEPT // 2, KEPT // 2)

# Chosen on real and rendered clips after four codecs, by the correlation with the true pattern.
_SMOOTH = 1.5
_EDGE = 3.0
"""Detail in 8-bit steps from which a pixel counts less: a mark is hardly that large, a line drawn in the picture is.
Where half of a picture is as rough (grass, noise), it takes more to be an edge."""
_MEDIAN_STEP: Final = 4
_FIRST_PASSES = 3
_CONTRAST_FLOOR = 0.1
_NEIGHBOURS = 8.0
_LIMIT = 2.0


def canonical_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a frame on the canonical plane: area 256 x 256, aspect kept (bounded at 3:1)."""
    aspect = min(max(width / height, 1 / MAX_ASPECT), MAX_ASPECT)
    return round(PERIOD / math.sqrt(aspect)), round(PERIOD * math.sqrt(aspect))


class Planes(NamedTuple):
    """A clip on the canonical plane: the evened-out residual of its parts [P, h, w], and its mean luma [h, w]."""

    residual_Phw: Array
    luma_hw: Array


def planes(frames_THWC: Frames, parts: int) -> Planes:
    """What detectors see of a clip: its luma on the canonical plane, and what is left without the picture.

    The parts follow one another in time and are equally long, as far as possible; there are no more than frames. The
    residual is summed over each.
    What is smooth and what is an edge depend on each other: the weights edge^2 / (edge^2 + detail^2) are found by
    iteration, and carried on from frame to frame, since most of a picture stays where it was.
    """
    height, width = frames_THWC.shape[1:3]
    rows, columns = canonical_size(height, width)
    count = len(frames_THWC)
    total_Phw = np.zeros((min(parts, count), rows, columns), np.float32)
    mean_hw = np.zeros((rows, columns), np.float32)
    weight = np.ones((rows, columns), np.float32)
    around = blurred(weight, _SMOOTH)
    for index, frame_HWC in enumerate(frames_THWC):
        luma = resampled(frame_HWC @ LUMA, rows, columns)
        mean_hw += luma / count
        for _ in range(1 if index else _FIRST_PASSES):
            detail = luma - blurred(weight * luma, _SMOOTH) / around
            power = np.square(detail)
            edge = np.float32(_EDGE**2 + 2 * np.median(power[::_MEDIAN_STEP, ::_MEDIAN_STEP]))
            weight = edge / (edge + power)
            around = blurred(weight, _SMOOTH)
        contrast = np.sqrt(blurred(weight * power, _SMOOTH) / around)
        total_Phw[index * len(total_Phw) // count] += weight * detail / (contrast + np.float32(_CONTRAST_FLOOR))
    return Planes(total_Phw, mean_hw)


def whiten(residual_hw: Array) -> Spectrum:
    """The transform of a residual about the frame's centre [F, F], of unit size everywhere and limited.

    Index F / 2 is the constant; four samples are one step of a wave vector.
    """
    rows, columns = residual_hw.shape
    # Axis by axis, so that the rows that are only padding and the columns that are not kept are never transformed; of
    # a real picture the other half is the same, mirrored.
    half = np.fft.fft(np.fft.rfft(residual_hw, PADDED, axis=1)[:, : KEPT // 2 + 1], PADDED, axis=0)
    half = half[np.arange(-KEPT // 2, KEPT // 2 + 1)]
    spectrum = np.concatenate([half[:0:-1, :0:-1].conj(), half[:-1, :-1]], axis=1) * _turn((rows, columns))
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    blur = gaussian_matrix(KEPT, _NEIGHBOURS)
    size = np.sqrt(power)
    unit = size / np.sqrt(np.maximum(blur @ power @ blur.T, 1e-12))
    limited = _LIMIT * np.tanh(unit / _LIMIT) / np.maximum(size, 1e-12)
    return np.asarray(spectrum * limited, np.complex64)


def sample(spectrum_FF: Spectrum, waves: Waves, maps_G22: NDArray[np.float64]) -> Spectrum:
    """The spectrum at the waves as each of G linear maps moves them, `[G, K]`.

    A map takes a position in the observed frame to the original one, p -> M p; wave k of the original is wave M^T k of
    what is observed. Between samples it interpolates linearly; at whole wave vectors it is exact.
    """
    wave_2K = np.stack([waves.y, waves.x]).astype(np.float64)
    moved = np.einsum("gji,jk->gik", maps_G22, wave_2K) * OVERSAMPLING + KEPT // 2
    base = np.floor(moved)
    part_y, part_x = (moved - base).astype(np.float32).transpose(1, 0, 2)
    y, x = np.clip(base, 0, KEPT - 2).astype(np.int64).transpose(1, 0, 2)
    flat = spectrum_FF.ravel()
    corner = y * KEPT + x
    upper = flat[corner] * (1 - part_x) + flat[corner + 1] * part_x
    lower = flat[corner + KEPT] * (1 - part_x) + flat[corner + KEPT + 1] * part_x
    return np.asarray(upper * (1 - part_y) + lower * part_y, np.complex64)


def picture(spectrum_FF: Spectrum, size: tuple[int, int]) -> Array:
    """The whitened picture [h, w], back from its spectrum."""
    full = np.zeros((PADDED, PADDED), np.complex64)
    full[np.ix_(_INDEX, _INDEX)] = spectrum_FF * _turn(size).conj()
    return np.asarray(np.fft.ifft2(full).real[: size[0], : size[1]] * PADDED, np.float32)


def _turn(size: tuple[int, int]) -> NDArray[np.complex128]:
    """What moves a transform's origin [F, F] from the first sample to the centre of a picture of this size."""
    turn_y, turn_x = (np.exp(2j * np.pi * _INDEX * (length - 1) / 2 / PADDED) for length in size)
    return np.asarray(turn_y[:, None] * turn_x[None, :])
