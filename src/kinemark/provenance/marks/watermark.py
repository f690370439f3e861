"""Two invisible marks in the pixels: one that says "some Kinemark made this", and one that says which clip it is.

The **presence mark** is the same on every clip of every installation and can be looked for by everybody. It helps to
find things and proves nothing: whoever reads this file can add it to anything. The **payload** is a 32-bit id under an
operator's secret key; it is decoded blind, from the pixels and the key alone, without original and ledger.
Both lie on the waves of `carriers`, still, on every frame, stronger where the picture is busy.

`detect` looks at a clip as it is (and mirrored, and turned by quarters): milliseconds. `search` finds out how a clip
was cropped, turned, scaled or slanted: seconds. What each calls present, an unmarked clip is with a chance of
`PRESENCE_LIMIT`; a payload is accepted for an unmarked clip once in 2^34 words that were decoded.

What it is not: proof. A mark can be removed, and copied to other footage, by somebody determined; the signature is
the proof, and the mark finds the way back to it when the signature was stripped.

Shapes: T frames, H height, W width, K waves, M coded bits, S salts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.errors import RequestError
from kinemark.provenance.grid import LUMA, area_matrix, linear_matrix
from kinemark.provenance.marks import carriers, framing, geometry
from kinemark.provenance.marks.carriers import BAND, CHECK_BITS, CODED_BITS, ID_BITS, PERIOD, SALT_BITS
from kinemark.provenance.marks.geometry import Geometry
from kinemark.provenance.marks.spectrum import picture, planes, whiten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from kinemark.data.video import Frames
    from kinemark.provenance.marks.carriers import Waves
    from kinemark.provenance.marks.spectrum import Spectrum

    Array = NDArray[np.float32]
    Values = NDArray[np.float64]

PRESENCE_LIMIT: Final = 1e-5
"""Chance under the null hypothesis, over all candidates, below which the presence mark counts as there."""

RMS: Final = 1.95
"""Root mean square of the change to a frame's luma, in 8-bit steps: 42.3 dB."""
MAX_FLAT: Final = 1.3
"""Largest root mean square of the change where the picture is flat, where it would be seen first."""
_MASK_GRID: Final = 64
_BUSY, _BUSY_POWER = 10.0, 0.2
"""The mark grows with (1 + variance / 10)^0.2: gently, since busy places also hide it from the detector."""
_CHUNK: Final = 8

_PARTS: Final = 16
"""Parts of a clip for which it is said apart whether they carry the mark."""
_DECODE_FROM: Final = CODED_BITS + 75.0
"""Energy of the soft bits from which decoding is tried: unmarked clips stay below, over all salts."""
_GEOMETRIES: Final = 16
_SLANTED: Final = 5
_FRAMED: Final = 2
SEARCH_WORDS: Final = _GEOMETRIES + _SLANTED + _FRAMED
"""How many words a search decodes at the most."""
_SEARCH_USUAL, _SEARCH_SPREAD = 6.66, 0.26
"""Law of the largest score of a search in unmarked clips: P(score >= s) = exp(-(s - 6.66) / 0.26). On the safe side of
2,016 segments: half gave 6.71, 6.5 % gave 7.20, 1 % gave 7.58. Climbing makes it larger than the maps explain."""
_PART_FLOOR: Final = 2.3
_PART_SHARE: Final = 0.4


@dataclass(frozen=True, slots=True)
class WatermarkFinding:
    """What the detector saw.

    Attributes:
        payload: the id, if one was decoded and its check fits; else None.
        present: whether the presence mark is there, or a payload.
        score: the presence mark's correlation: a standard normal number where there is no mark.
        p_value: chance of such a score, or a larger one, in an unmarked clip, over all candidates compared.
        agreement: share of coded bits that agree with the decoded word; None without payload.
        false_accept: chance that an unmarked clip passes for having a payload (words decoded / 2^34).
        placement: how what is seen lies on the original; None where nothing was found.
        spans: frames [start, stop) that carry the mark, of the frames that were looked at.
    """

    payload: int | None
    present: bool
    score: float
    p_value: float
    agreement: float | None = None
    false_accept: float = 0.0
    placement: Geometry | None = None
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def geometry(self) -> str | None:
        """How the picture was changed since it was marked, in words."""
        return self.placement.words if self.placement else None


def embed(frames_THWC: Frames, payload: int, key: bytes) -> Frames:
    """Return a copy of the frames that carries the presence mark, and `payload` (0 to 2^32 - 1) under `key`.

    Raises:
        RequestError: the payload does not fit, or the frames are not uint8 [T, H, W, 3] of at least 64 x 64 pixels.
    """
    if not 0 <= payload < 1 << ID_BITS:
        raise RequestError(f"the payload is {payload}; it must be a whole number from 0 to 2^{ID_BITS} - 1.")
    _require_frames(frames_THWC)
    pattern_HW = _pattern(payload, key, *frames_THWC.shape[1:3])
    marked_THWC = np.empty_like(frames_THWC)
    for start in range(0, len(frames_THWC), _CHUNK):
        chunk = frames_THWC[start : start + _CHUNK].astype(np.float32)
        # The same step in R, G and B moves the luma and leaves the chroma, which codecs treat worse.
        chunk += (pattern_HW * _strength(chunk @ LUMA))[..., None]
        np.rint(chunk, out=chunk)
        np.clip(chunk, 0, 255, out=chunk)
        marked_THWC[start : start + _CHUNK] = chunk
    return marked_THWC


def detect(frames_THWC: Frames, key: bytes | None) -> WatermarkFinding:
    """Look for both marks in frames (or one picture with T = 1) of any size, upright, mirrored or turned by quarters.

    A picture within a dark frame (bars, a screen that was filmed) is also looked at without it. Without a key only the
    presence mark is looked for.

    Raises:
        RequestError: the frames are not uint8 [T, H, W, 3] of at least 64 x 64 pixels.
    """
    seen = _Seen.of(frames_THWC)
    scored = _scored(seen, [*geometry.orientations(), *seen.framed])
    best, words = _best(scored, seen, key)
    p_value = min(1.0, len(scored) * 0.5 * math.erfc(best.score / math.sqrt(2)))
    return _concluded(best, seen, key, p_value=p_value, words=words)


def search(frames_THWC: Frames, key: bytes | None) -> WatermarkFinding:
    """Look for both marks, however the picture was cropped, turned, scaled, mirrored or slanted since.

    Sides from 62 to 155 % of the original's, turns up to 6 degrees about every quarter, other aspects up to 1:1.35.

    Raises:
        RequestError: as `detect`.
    """
    seen = _Seen.of(frames_THWC)
    framed = sorted(_scored(seen, seen.framed), key=lambda pair: -pair[0])
    ranked = geometry.search(seen.spectrum, keep=_GEOMETRIES)
    starts = [*framed[:_FRAMED], *ranked[:_SLANTED]]
    slanted = [geometry.refine_slanted(seen.picture, placement) for _, placement in starts]
    best, words = _best([*slanted, *ranked], seen, key)
    p_value = min(1.0, math.exp((_SEARCH_USUAL - best.score) / _SEARCH_SPREAD))
    return _concluded(best, seen, key, p_value=p_value, words=words)


def wrong_key_energies(frames_THWC: Frames, key: bytes) -> tuple[Values, float, float]:
    """The statistic that decides which words are decoded, for every salt of a key [S], with its null mean and variance.

    For measuring: on an unmarked clip, or under a wrong key, the energies follow a gamma distribution of these moments.
    """
    spectrum_FF = _Seen.of(frames_THWC).spectrum
    read_K = geometry.read(spectrum_FF, geometry.IDENTITY, carriers.payload_waves())
    soft_SM, share_M = _soft(read_K, key)
    return np.sum(soft_SM * soft_SM, axis=1), float(CODED_BITS), float(np.sum(2.0 - 2.0 * share_M))


def _require_frames(frames_THWC: Frames) -> None:
    shape = frames_THWC.shape
    if frames_THWC.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or not shape[0] or min(shape[1:3]) < 64:
        raise RequestError(
            f"frames are {frames_THWC.dtype} {shape}; a watermark needs uint8 [T, H, W, 3], T >= 1, at least 64 x 64."
        )


# --- marking ----------------------------------------------------------------------------------------------------------


def _pattern(payload: int, key: bytes, height: int, width: int) -> Array:
    """The waves of both marks at a frame's pixel centres [H, W], of unit variance."""
    pilot, keyed = carriers.pilot_waves(), carriers.payload_waves()
    reach = int(BAND[1])
    wave = np.arange(-reach, reach + 1)
    table = np.zeros((len(wave), len(wave)), np.complex128)
    table[pilot.y + reach, pilot.x + reach] = carriers.pilot()
    table[keyed.y + reach, keyed.x + reach] = carriers.payload_amplitudes(payload, key)
    unit = PERIOD / math.sqrt(height * width)
    row, column = ((np.arange(n) + 0.5 - n / 2) * unit for n in (height, width))
    across = table @ np.exp(2j * np.pi / PERIOD * np.outer(wave, column))
    pattern_HW = (np.exp(2j * np.pi / PERIOD * np.outer(row, wave)) @ across).real
    return np.asarray(pattern_HW / pattern_HW.std(), np.float32)


def _strength(luma_THW: Array) -> Array:
    """Amplitude of the mark at every pixel [T, H, W], in 8-bit steps, from the detail on a grid of 64 x 64 cells.

    Detail is a cell's variance without that of a smooth ramp (slope^2 / 12 for each axis), so a sky's gradient counts
    as flat; the geometric mean with the eight neighbours keeps the flat sides of a sharp edge flat.
    """
    height, width = luma_THW.shape[1:]
    down_h, down_w = area_matrix(_MASK_GRID, height), area_matrix(_MASK_GRID, width).T
    mean = down_h @ luma_THW @ down_w
    slope_y, slope_x = np.gradient(mean, axis=(1, 2))
    variance = down_h @ np.square(luma_THW) @ down_w - mean * mean - (slope_y * slope_y + slope_x * slope_x) / 12
    around = np.pad(np.log1p(np.maximum(variance, 0)), ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(1, 2))
    busy = np.expm1(windows.mean(axis=(3, 4)))
    cells = (1 + busy / _BUSY) ** _BUSY_POWER
    loudness = RMS / np.sqrt(np.mean(np.square(cells), axis=(1, 2), keepdims=True))
    cells = cells * np.minimum(loudness, MAX_FLAT / cells.min(axis=(1, 2), keepdims=True))
    up_h, up_w = linear_matrix(height, _MASK_GRID), linear_matrix(width, _MASK_GRID).T
    return np.asarray(up_h @ cells.astype(np.float32) @ up_w, np.float32)


# --- finding ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Seen:
    """A clip as the detector sees it.

    Attributes:
        luma_hw: mean luma [h, w].
        residual_Phw: what is left of its parts without the picture [P, h, w].
        spectrum: of the sum of the parts.
        frames: how many it has.
    """

    luma_hw: Array
    residual_Phw: Array
    spectrum: Spectrum
    frames: int

    @classmethod
    def of(cls, frames_THWC: Frames) -> _Seen:
        _require_frames(frames_THWC)
        residual_Phw, luma_hw = planes(frames_THWC, _PARTS)
        return cls(luma_hw, residual_Phw, whiten(residual_Phw.sum(axis=0)), len(frames_THWC))

    @cached_property
    def picture(self) -> Array:
        """The whitened picture [h, w]."""
        return picture(self.spectrum, self.residual_Phw.shape[1:])

    @cached_property
    def framed(self) -> list[Geometry]:
        """The picture within a dark frame, if there is one, in all orientations."""
        within = framing.placements(self.luma_hw)
        return [Geometry(turned.matrix @ straight.matrix) for straight in within for turned in geometry.orientations()]

    def read(self, placement: Geometry, waves: Waves) -> Spectrum:
        """Amplitudes at the waves [K]: off the spectrum, or off the picture where it has to be straightened first."""
        if placement.is_affine:
            return geometry.read(self.spectrum, placement, waves)
        return geometry.read_slanted(self.picture, placement, waves)


def _scored(seen: _Seen, placements: Sequence[Geometry]) -> list[tuple[float, Geometry]]:
    waves = carriers.pilot_waves()
    return [(geometry.pilot_score(seen.read(placement, waves)), placement) for placement in placements]


def _best(scored: Sequence[tuple[float, Geometry]], seen: _Seen, key: bytes | None) -> tuple[WatermarkFinding, int]:
    """The first placement under which an id is read, or else the one of the largest score; and how many words it took.

    Placements are read one by one, until an id is read.
    """
    score, placement = max(scored, key=lambda pair: pair[0])
    best, decoded = WatermarkFinding(None, present=False, score=score, p_value=1.0, placement=placement), 0
    if key is None:
        return best, 0
    for score, placement in scored:
        payload, agreement, words = _decode(seen.read(placement, carriers.payload_waves()), key)
        decoded += words
        if payload is not None:
            return replace(best, score=score, placement=placement, payload=payload, agreement=agreement), decoded
    return best, decoded


def _soft(payload_K: Spectrum, key: bytes) -> tuple[Values, Values]:
    """Soft coded bits [S, M] for every salt, of unit variance where there is no mark; and sum v^4 / (sum v^2)^2 [M]."""
    dealt = carriers.carriers(key)
    value_MD = np.stack([payload_K.real, payload_K.imag], axis=1).ravel()[dealt.dims].astype(np.float32)
    energy_M = np.maximum(np.sum(value_MD * value_MD, axis=1), 1e-12)
    soft_SM = np.einsum("smd,md->sm", dealt.signs, value_MD, optimize=True) / np.sqrt(energy_M)
    return soft_SM.astype(np.float64), np.sum(value_MD**4, axis=1) / energy_M**2


def _decode(payload_K: Spectrum, key: bytes) -> tuple[int | None, float | None, int]:
    """The id under the likeliest salt, the share of coded bits that agree, and how many words were decoded."""
    soft_SM, _ = _soft(payload_K, key)
    energy_S = np.sum(soft_SM * soft_SM, axis=1)
    salt = int(energy_S.argmax())
    if energy_S[salt] < _DECODE_FROM:
        return None, None, 0
    payload = carriers.read_word(soft_SM[salt], salt, key)
    if payload is None:
        return None, None, 1
    word_M = 1.0 - 2.0 * carriers.codeword(payload, key)
    return payload, float(np.mean(np.sign(soft_SM[salt]) == word_M)), 1


def _concluded(
    found: WatermarkFinding, seen: _Seen, key: bytes | None, *, p_value: float, words: int
) -> WatermarkFinding:
    """Say how sure it is, and in which parts of the clip the mark lies."""
    present = found.payload is not None or p_value < PRESENCE_LIMIT
    return replace(
        found,
        present=present,
        p_value=p_value,
        false_accept=words / 2 ** (CHECK_BITS + SALT_BITS),
        placement=found.placement if present else None,
        spans=_spans(found, seen, key) if present else (),
    )


def _spans(found: WatermarkFinding, seen: _Seen, key: bytes | None) -> tuple[tuple[int, int], ...]:
    """Runs of parts in which the mark that was found is there, as frames [start, stop)."""
    scores = _part_scores(found, seen, key)
    marked = scores > max(_PART_FLOOR, _PART_SHARE * float(np.percentile(scores, 75)))
    # A single part between two marked ones is noise rather than a cut.
    marked[1:-1] |= marked[:-2] & marked[2:]
    count, parts = seen.frames, len(scores)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(int), [0]])))
    starts = [-(-edge * count // parts) for edge in edges.tolist()]
    return tuple(zip(starts[0::2], starts[1::2], strict=True))


def _part_scores(found: WatermarkFinding, seen: _Seen, key: bytes | None) -> Values:
    """Correlation of each part with the mark that was found [P]: standard normal where it is not there."""
    assert found.placement is not None
    waves, amplitude_K = carriers.pilot_waves(), carriers.pilot()
    if found.payload is not None and key is not None:
        waves += carriers.payload_waves()
        amplitude_K = np.concatenate([amplitude_K, carriers.payload_amplitudes(found.payload, key)])
    value_PK = geometry.read_slanted(seen.residual_Phw, found.placement, waves)
    # Every wave counts as much as it does in the whole clip, where it was evened out; no part may outweigh the others.
    value_PK /= np.maximum(np.abs(value_PK.sum(axis=0)), 1e-6)
    value_PK /= np.maximum(1.0, np.abs(value_PK) * len(value_PK) / 3)
    score_P = np.sum((value_PK * amplitude_K.conj()).real, axis=1)
    return np.asarray(score_P / np.sqrt(np.maximum(np.sum(np.abs(value_PK) ** 2, axis=1), 1e-12)), np.float64)
