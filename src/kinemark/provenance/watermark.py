"""An invisible mark in the pixels: a 32-bit id, found again without the original and without a ledger.

How it works. A spread-spectrum pattern lives in the DCT of the luma on a canonical 256 x 256 grid, whatever the size
of the clip, in a ring of frequencies (radius 20 to 80) that codecs and scaling keep. The key deals about 4,500
coefficients to 288 coded bits and gives each a sign (Cox et al., Secure Spread Spectrum Watermarking for Multimedia,
1997); the code is convolutional with soft decisions. The same pattern lies on every frame, stronger where the picture
is busy, so it does not flicker and the detector may add frames up.

What is carried: the id and a 32-bit check, a keyed hash of the id. So a wrong key, an unmarked clip or a made-up id
passes the check once in 2^32 candidates, and whoever learns one clip's pattern can copy it but not write another id.

What it is not: proof. A mark can be removed, and copied to other footage, by somebody determined; the signature is
the proof, and the mark finds the way back to it when the signature was stripped.

Shapes: T frames, H height, W width, G grid (256), K coefficients used, M coded bits (288).
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from kinemark.errors import RequestError
from kinemark.provenance import code
from kinemark.provenance.grid import GRID, LUMA, area_matrix, dct_matrix, gaussian_matrix, linear_matrix, radius

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kinemark.data.video import Frames

    Array = NDArray[np.float32]
    Coefficients = NDArray[np.float64]

RING = (20.0, 80.0)
"""Radii of the DCT coefficients that carry the mark: below is the picture itself, above is what codecs drop."""
AXIS = 2
"""Coefficients with an index below this are left out: horizons and poles put their energy there."""
ID_BITS = 32
CHECK_BITS = 32
PRESENCE_LIMIT = 1e-9
"""Chance under the null hypothesis below which `WatermarkFinding.present` says that some mark of this key is there."""

MASK_FLOOR, MASK_SLOPE, MASK_EDGE, MASK_CEILING = 0.85, 1.0, 0.2, 3.5
"""Amplitude in 8-bit steps = min(floor + slope * texture + edge * detail, ceiling): more where it hides."""
MAX_RMS = 1.93
"""Largest root mean square of the change to one frame, in 8-bit steps: 42.4 dB."""

_MASK_GRID = 64
_CHUNK = 32

# Chosen on real clips at CRF 28 and at half size, by the correlation with the true word.
_CONTRAST_FLOOR = 0.1
_LIMIT = 0.7


@dataclass(frozen=True, slots=True)
class WatermarkFinding:
    """What the detector saw.

    Attributes:
        payload: the id, if one was decoded and its check fits; else None.
        present: whether energy under this key is there at all, readable or not.
        chi2: sum of squared normalised correlations over the coded bits; about M = 288 where there is no mark.
        p_value: chance of such a chi2, or a larger one, in an unmarked clip, over all orientations tried.
        agreement: share of coded bits that agree with the decoded word; None without payload.
        orientation: how the clip was turned, e.g. "upright" or "mirrored"; None without payload.
        false_accept: chance that an unmarked clip passes for having a payload (candidates tried / 2^32).
    """

    payload: int | None
    present: bool
    chi2: float
    p_value: float
    agreement: float | None
    orientation: str | None
    false_accept: float


def embed(frames_THWC: Frames, payload: int, key: bytes) -> Frames:
    """Return a copy of the frames that carries `payload` (0 to 2^32 - 1) under `key`.

    Raises:
        RequestError: the payload does not fit, or the frames are not uint8 [T, H, W, 3] of at least 64 x 64 pixels.
    """
    if not 0 <= payload < 1 << ID_BITS:
        raise RequestError(f"the payload is {payload}; it must be a whole number from 0 to 2^{ID_BITS} - 1.")
    _require_frames(frames_THWC)
    height, width = frames_THWC.shape[1:3]
    pattern_HW = _pattern(payload, key, height, width)
    marked_THWC = np.empty_like(frames_THWC)
    for start in range(0, len(frames_THWC), _CHUNK):
        chunk = frames_THWC[start : start + _CHUNK].astype(np.float32)
        delta_THW = pattern_HW * _mask(chunk @ LUMA)
        rms_T = np.sqrt(np.mean(np.square(delta_THW), axis=(1, 2), keepdims=True))
        delta_THW *= np.minimum(1.0, MAX_RMS / np.maximum(rms_T, 1e-6))
        # The same step in R, G and B moves the luma and leaves the chroma, which codecs treat worse.
        chunk += delta_THW[..., None]
        np.rint(chunk, out=chunk)
        np.clip(chunk, 0, 255, out=chunk)
        marked_THWC[start : start + _CHUNK] = chunk
    return marked_THWC


def detect(frames_THWC: Frames, key: bytes) -> WatermarkFinding:
    """Look for a mark under `key` in frames (or one picture with T = 1) of any size, mirrored or turned by 90 degrees.

    Raises:
        RequestError: the frames are not uint8 [T, H, W, 3] of at least 64 x 64 pixels.
    """
    _require_frames(frames_THWC)
    spectrum_GG = _spectrum(frames_THWC)
    carriers = _carriers(key)
    best_chi2, candidates = 0.0, 0
    payload, agreement, orientation = None, None, None
    for name, turned_GG in _orientations(spectrum_GG):
        candidates += 1
        soft_M, chi2 = carriers.correlate(turned_GG)
        best_chi2 = max(best_chi2, chi2)
        payload = _read(soft_M, key)
        if payload is not None:
            word_M = 1.0 - 2.0 * _codeword(payload, key)
            best_chi2, agreement, orientation = chi2, float(np.mean(np.sign(soft_M) == word_M)), name
            break
    p_value = min(1.0, candidates * _chi2_tail(best_chi2, code.coded_length(ID_BITS + CHECK_BITS)))
    return WatermarkFinding(
        payload=payload,
        present=payload is not None or p_value < PRESENCE_LIMIT,
        chi2=best_chi2,
        p_value=p_value,
        agreement=agreement,
        orientation=orientation,
        false_accept=candidates / 2**CHECK_BITS,
    )


def _require_frames(frames_THWC: Frames) -> None:
    shape = frames_THWC.shape
    if frames_THWC.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or not shape[0] or min(shape[1:3]) < 64:
        raise RequestError(
            f"frames are {frames_THWC.dtype} {shape}; a watermark needs uint8 [T, H, W, 3], T >= 1, at least 64 x 64."
        )


# --- payload ----------------------------------------------------------------------------------------------------------


def _codeword(payload: int, key: bytes) -> NDArray[np.uint8]:
    """Coded bits [M] of an id and its check."""
    raw = payload.to_bytes(ID_BITS // 8, "big")
    return code.encode(np.unpackbits(np.frombuffer(raw + _check(raw, key), np.uint8)))


def _read(soft_M: Coefficients, key: bytes) -> int | None:
    """Decode and verify; None where the check does not fit."""
    raw = np.packbits(code.decode(soft_M)).tobytes()
    head, tail = raw[: ID_BITS // 8], raw[ID_BITS // 8 :]
    return int.from_bytes(head, "big") if hmac.compare_digest(tail, _check(head, key)) else None


def _check(raw: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"kinemark watermark check 1" + raw, "sha256")[: CHECK_BITS // 8]


# --- carriers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Carriers:
    """Which coefficients a key uses: rows and columns [K], the coded bit that each carries [K], and its sign [K]."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    bit: NDArray[np.int64]
    sign: Coefficients

    def correlate(self, spectrum_GG: Coefficients) -> tuple[Coefficients, float]:
        """Soft coded bits [M], unit variance where there is no mark, and their sum of squares."""
        value_K = spectrum_GG[self.row, self.column] * self.sign
        length = code.coded_length(ID_BITS + CHECK_BITS)
        energy_M = np.bincount(self.bit, value_K * value_K, length)
        soft_M = np.bincount(self.bit, value_K, length) / np.sqrt(np.maximum(energy_M, 1e-12))
        return soft_M, float(np.sum(soft_M * soft_M))


@lru_cache(maxsize=8)
def _carriers(key: bytes) -> _Carriers:
    """Deal the ring's coefficients to coded bits and signs.

    The random numbers come from SHAKE-256, not from a library's generator: a clip must be readable in ten years.
    """
    row, column = np.nonzero((radius(GRID) >= RING[0]) & (radius(GRID) <= RING[1]))
    row, column = row[(row >= AXIS) & (column >= AXIS)], column[(row >= AXIS) & (column >= AXIS)]
    stream = hashlib.shake_256(b"kinemark watermark carriers 1" + key).digest(9 * len(row))
    order = np.argsort(np.frombuffer(stream[: 8 * len(row)], ">u8"), kind="stable")
    sign = 1.0 - 2.0 * (np.frombuffer(stream[8 * len(row) :], np.uint8) & 1).astype(np.float64)
    bit = np.empty(len(row), np.int64)
    bit[order] = np.arange(len(row)) % code.coded_length(ID_BITS + CHECK_BITS)
    return _Carriers(row=row, column=column, bit=bit, sign=sign)


def _pattern(payload: int, key: bytes, height: int, width: int) -> Array:
    """The pattern [H, W] of unit variance: the ring's cosines, evaluated at the clip's own pixel centres."""
    carriers = _carriers(key)
    spectrum_GG = np.zeros((GRID, GRID))
    spectrum_GG[carriers.row, carriers.column] = carriers.sign * (1.0 - 2.0 * _codeword(payload, key)[carriers.bit])
    used = int(RING[1]) + 1
    pattern_HW = dct_matrix(used, height).T @ spectrum_GG[:used, :used] @ dct_matrix(used, width)
    scaled_HW: Array = (pattern_HW / pattern_HW.std()).astype(np.float32)
    return scaled_HW


def _mask(luma_THW: Array) -> Array:
    """How strong the mark may be at every pixel [T, H, W], from the detail on a grid of 64 x 64 cells.

    Detail is a cell's deviation without that of a smooth ramp (slope^2 / 12 for each axis), so a sky's gradient counts
    as flat. Texture is the least detail among a cell and its eight neighbours: a busy surface hides the mark, the flat
    sides of a sharp edge hardly do.
    """
    height, width = luma_THW.shape[1:]
    down_h, down_w = area_matrix(_MASK_GRID, height), area_matrix(_MASK_GRID, width).T
    mean = down_h @ luma_THW @ down_w
    slope_y, slope_x = np.gradient(mean, axis=(1, 2))
    variance = down_h @ np.square(luma_THW) @ down_w - mean * mean - (slope_y * slope_y + slope_x * slope_x) / 12
    detail = np.sqrt(np.maximum(variance, 0))
    around = np.pad(detail, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.minimum(np.minimum(around[:, :-2], around[:, 1:-1]), around[:, 2:])
    texture = np.minimum(np.minimum(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:])
    cells = np.minimum(MASK_FLOOR + MASK_SLOPE * texture + MASK_EDGE * detail, MASK_CEILING).astype(np.float32)
    strength_THW: Array = linear_matrix(height, _MASK_GRID) @ cells @ linear_matrix(width, _MASK_GRID).T
    return strength_THW


# --- detection --------------------------------------------------------------------------------------------------------


def _spectrum(frames_THWC: Frames) -> Coefficients:
    """Whitened DCT [G, G] of the mean residual on the canonical grid.

    The picture is the noise here. Its smooth part is subtracted, its contrast evened out, frames are added up; then
    every coefficient is divided by the typical size at its radius and limited, so that no single edge decides.
    """
    height, width = frames_THWC.shape[1:3]
    down_h, down_w = area_matrix(GRID, height), area_matrix(GRID, width)
    blur = gaussian_matrix(GRID, 2.0)
    total_GG = np.zeros((GRID, GRID))
    for frame_HWC in frames_THWC:
        luma = down_h @ (frame_HWC @ LUMA) @ down_w.T
        residual = luma - blur @ luma @ blur.T
        contrast = np.sqrt(np.maximum(blur @ (residual * residual) @ blur.T, 0))
        total_GG += residual / (contrast + np.float32(_CONTRAST_FLOOR))
    basis = dct_matrix(GRID, GRID)
    spectrum_GG = basis @ total_GG @ basis.T
    return np.tanh(spectrum_GG / (_LIMIT * _typical(np.abs(spectrum_GG))))


def _typical(size_GG: Coefficients) -> Coefficients:
    """Mean size of the coefficients in rings two indices wide, spread back over the plane."""
    ring = (radius(GRID) / 2).astype(np.int64)
    mean = np.bincount(ring.ravel(), size_GG.ravel()) / np.bincount(ring.ravel())
    return np.maximum(mean, 1e-9)[ring]


def _orientations(spectrum_GG: Coefficients) -> Iterator[tuple[str, Coefficients]]:
    """The eight ways a picture can be mirrored and turned, as they act on its DCT: signs and a transposition."""
    odd = 1.0 - 2.0 * (np.arange(GRID) % 2)
    for turned, base in (("", spectrum_GG), ("turned ", spectrum_GG.T)):
        yield turned + "upright", base
        yield turned + "mirrored", base * odd[None, :]
        yield turned + "upside down", base * odd[:, None] * odd[None, :]
        yield turned + "upside down and mirrored", base * odd[:, None]


def _chi2_tail(value: float, freedom: int) -> float:
    """P(chi2 with an even number of degrees of freedom >= value), exactly: exp(-x/2) sum of (x/2)^k / k!, k < dof/2."""
    half = value / 2
    if half <= 0:
        return 1.0
    terms = [k * math.log(half) - half - math.lgamma(k + 1) for k in range(freedom // 2)]
    peak = max(terms)
    return min(1.0, math.exp(peak) * sum(math.exp(term - peak) for term in terms))
