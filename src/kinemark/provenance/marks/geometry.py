"""How a picture was cropped, turned, scaled or bent since it was marked, found from the pilot and undone.

Search: for every linear map of a fixed list (mirrored or not, quarter turns, small turns, scales, other aspects) the
pilot's waves are read from the spectrum, and one Fourier transform gives the pilot's correlation at all shifts. The
best maps are refined by small steps, at last as a homography, which also covers a picture filmed at a slant.

Positions are (y, x) in units of the canonical plane, about the centre of the frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.provenance.grid import Sampler
from kinemark.provenance.marks.carriers import BAND, PERIOD, pilot, pilot_waves
from kinemark.provenance.marks.spectrum import canonical_size, sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from kinemark.provenance.marks.carriers import Waves
    from kinemark.provenance.marks.spectrum import Spectrum

    Matrix = NDArray[np.float64]

SCALES: Final = np.exp(np.arange(math.log(0.62), math.log(1.55), 0.02))
"""Size of what is seen on the original's canonical plane: below 1 after cropping, above 1 after padding."""
TURNS: Final = np.deg2rad(np.arange(-6.0, 6.01, 1.0))
ASPECTS: Final = np.exp(np.concatenate([np.arange(-0.3, -0.01, 0.02), np.arange(0.02, 0.31, 0.02)]))
"""Stretch of the width against the height, tried without rotation."""
_SHIFT_GRID: Final = 128
_BATCH: Final = 64
"""Maps whose shifts are tried at once: bounds memory."""
_BEYOND_DOUBT: Final = 9.0
"""Score that no unmarked picture reaches under any map and shift: the chance is below 1e-11."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Where what is seen lies on the original: a homography [3, 3] from (x, y, 1) seen to (x, y, 1) original.

    Units of the canonical planes of both. The identity means that nothing was changed but the size.
    """

    matrix: Matrix

    @classmethod
    def affine(cls, linear_22: Matrix, shift_2: Matrix) -> Geometry:
        """From a linear map and a shift in (y, x) order: original = linear @ seen + shift."""
        matrix = np.eye(3)
        matrix[:2, :2] = linear_22[::-1, ::-1]
        matrix[:2, 2] = shift_2[::-1]
        return cls(matrix)

    def original(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Original positions (x, y) of seen positions."""
        return _apply(self.matrix, x, y)

    def seen(self, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
        """Seen positions (x, y) of original positions."""
        return _apply(np.asarray(np.linalg.inv(self.matrix), np.float64), x, y)

    @property
    def is_affine(self) -> bool:
        """Whether parallel lines stay parallel: nothing is seen at a slant."""
        return not self.matrix[2, :2].any()

    @property
    def words(self) -> str:
        """In words: "unchanged", or what was done, such as "mirrored, turned by 3.0 degrees, scaled to 110 %"."""
        linear = self.matrix[:2, :2] / self.matrix[2, 2]
        determinant = float(np.linalg.det(linear))
        upright = linear if determinant > 0 else linear @ np.diag([-1.0, 1.0])
        angle = math.degrees(math.atan2(upright[1, 0] - upright[0, 1], upright[0, 0] + upright[1, 1]))
        part = math.sqrt(abs(determinant))
        said = ["mirrored"] if determinant < 0 else []
        if abs(angle) >= 0.3:
            said.append(f"turned by {angle:.1f} degrees")
        if part < 0.985:
            said.append(f"cropped or enlarged to {part:.0%} of its side")
        if part > 1.015:
            said.append(f"with a border: the side grew to {part:.0%}")
        if math.hypot(*(self.matrix[:2, 2] / self.matrix[2, 2])) > 1.5:
            said.append("moved")
        if math.hypot(*self.matrix[2, :2]) * PERIOD / 2 > 0.004:
            said.append("seen at a slant")
        return ", ".join(said) or "unchanged"


IDENTITY: Final = Geometry(np.eye(3))


def rectangle(height: float, width: float) -> Matrix:
    """The corners (x, y) of a frame about its centre [4, 2], clockwise from the upper left."""
    return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]


def homography(source_42: Matrix, target_42: Matrix) -> Matrix:
    """The matrix [3, 3] that takes four points (x, y) to four others (direct linear transform)."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source_42, target_42, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1.0).reshape(3, 3)


def orientations() -> Iterator[Geometry]:
    """The eight ways in which a picture can be mirrored and turned by quarters."""
    for linear_22 in quarters_and_mirrors():
        yield Geometry.affine(linear_22, np.zeros(2))


def pilot_score(spectrum_K: Spectrum) -> float:
    """Correlation of the pilot with what was read at its waves: a standard normal number where there is no mark."""
    energy = float(np.sum(np.square(spectrum_K.real)) + np.sum(np.square(spectrum_K.imag)))
    return float(np.sum((spectrum_K * pilot().conj()).real)) / math.sqrt(max(energy, 1e-12))


def read(spectrum_FF: Spectrum, geometry: Geometry, waves: Waves) -> Spectrum:
    """The spectrum at the waves under an affine geometry: their amplitudes on the original plane [K]."""
    linear, shift = geometry.matrix[:2, :2][::-1, ::-1], geometry.matrix[:2, 2][::-1]
    values = sample(spectrum_FF, waves, linear[None])[0]
    return np.asarray(values * _phase(waves, shift), np.complex64)


def search(spectrum_FF: Spectrum, keep: int) -> list[tuple[float, Geometry]]:
    """The `keep` best affine geometries with their pilot scores, best first.

    It stops early where a score leaves no doubt.
    """
    found: list[tuple[float, Geometry]] = []
    for maps_G22 in _maps():
        for start in range(0, len(maps_G22), _BATCH):
            batch = maps_G22[start : start + _BATCH]
            scores, shifts = _best_shifts(spectrum_FF, batch)
            affine = [Geometry.affine(linear, shift) for linear, shift in zip(batch, shifts, strict=True)]
            found += zip(scores.tolist(), affine, strict=True)
        found.sort(key=lambda pair: -pair[0])
        if found[0][0] > _BEYOND_DOUBT:
            break
    refined: list[tuple[float, Geometry]] = []
    for _, geometry in found[: 4 * keep]:
        if not any(_near(geometry, other) for _, other in refined):
            climbed = refine(spectrum_FF, geometry)
            if not any(_near(climbed[1], other) for _, other in refined):
                refined.append(climbed)
        if len(refined) == keep:
            break
    refined.sort(key=lambda pair: -pair[0])
    return refined


def refine(spectrum_FF: Spectrum, geometry: Geometry) -> tuple[float, Geometry]:
    """Climb to the best affine geometry near one: steps in shift, scale, turn and shear that halve."""
    waves = pilot_waves()

    def score(matrix: Matrix) -> float:
        return pilot_score(read(spectrum_FF, Geometry(matrix), waves))

    return _climb(score, geometry.matrix, _AFFINE_STEPS, rounds=5)


def refine_slanted(whitened_HW: NDArray[np.float32], geometry: Geometry) -> tuple[float, Geometry]:
    """Climb to the best homography near an affine geometry, on the whitened picture itself."""
    waves = pilot_waves()

    def score(matrix: Matrix) -> float:
        return pilot_score(read_slanted(whitened_HW, Geometry(matrix), waves))

    return _climb(score, geometry.matrix, _SLANTED_STEPS, rounds=4)


def read_slanted(whitened_XHW: NDArray[np.float32], geometry: Geometry, waves: Waves) -> Spectrum:
    """Amplitudes at the waves [..., K] of pictures [..., H, W] that are first put back onto the original plane."""
    rows, columns = whitened_XHW.shape[-2:]
    corner_x, corner_y = geometry.original(*rectangle(rows, columns).T)
    x = np.arange(math.floor(corner_x.min()), math.ceil(corner_x.max()) + 1.0)
    y = np.arange(math.floor(corner_y.min()), math.ceil(corner_y.max()) + 1.0)
    if np.array_equal(geometry.matrix, np.eye(3)):
        x, y, straight = np.arange(columns) + 0.5 - columns / 2, np.arange(rows) + 0.5 - rows / 2, whitened_XHW
    else:
        sample_at = Sampler((rows, columns), *geometry.seen(*np.meshgrid(x, y)))
        pictures = whitened_XHW.reshape(-1, rows, columns)
        straight = np.stack([sample_at(picture) for picture in pictures])
        straight = straight.reshape(*whitened_XHW.shape[:-2], *straight.shape[-2:])
    half = int(BAND[1])
    reach = np.arange(-half, half + 1.0)
    table = _waves(reach, y) @ straight.astype(np.complex64) @ _waves(x, reach)
    return np.asarray(table[..., waves.y + half, waves.x + half], np.complex64)


def _waves(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.complex64]:
    return np.asarray(np.exp(-2j * np.pi / PERIOD * np.outer(one, other)), np.complex64)


def undo(
    luma_THW: NDArray[np.float32], geometry: Geometry, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Put frames back onto the original plane.

    Args:
        luma_THW: the luma of frames as they are seen.
        geometry: how they lie on the original.
        size: height and width of the original frame, for its aspect; the result has its canonical size.

    Returns:
        Luma on the original's canonical plane [T, h, w], black where nothing is seen, and where something is [h, w].
    """
    rows, columns = canonical_size(*size)
    seen_rows, seen_columns = canonical_size(*luma_THW.shape[1:])
    x, y = np.meshgrid(np.arange(columns) + 0.5 - columns / 2, np.arange(rows) + 0.5 - rows / 2)
    at_x, at_y = geometry.seen(x, y)
    inside = (np.abs(at_x) < seen_columns / 2) & (np.abs(at_y) < seen_rows / 2)
    scale_y, scale_x = luma_THW.shape[1] / seen_rows, luma_THW.shape[2] / seen_columns
    sample_at = Sampler((luma_THW.shape[1], luma_THW.shape[2]), at_x * scale_x, at_y * scale_y)
    return np.stack([sample_at(plane) for plane in luma_THW]), inside


# --- the list of maps -------------------------------------------------------------------------------------------------


def quarters_and_mirrors() -> list[Matrix]:
    """The eight symmetries of the square, in (y, x) order."""
    turn, mirror = np.array([[0.0, -1.0], [1.0, 0.0]]), np.diag([1.0, -1.0])
    powers = [np.linalg.matrix_power(turn, k) for k in range(4)]
    return [power @ side for power in powers for side in (np.eye(2), mirror)]


@cache
def _maps() -> tuple[Matrix, ...]:
    """All linear maps that a search tries [G, 2, 2], in groups, the likelier ones first."""
    quarters = quarters_and_mirrors()
    stretched = [
        scale * np.diag([1 / math.sqrt(aspect), math.sqrt(aspect)]) @ quarter
        for quarter in quarters[:2]
        for aspect in ASPECTS
        for scale in SCALES
    ]
    return _turned(quarters[:2]), np.stack(stretched), _turned(quarters[2:])


def _turned(quarters: list[Matrix]) -> Matrix:
    return np.stack([scale * _rotation(angle) @ quarter for quarter in quarters for angle in TURNS for scale in SCALES])


def _rotation(angle: float) -> Matrix:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _best_shifts(spectrum_FF: Spectrum, maps_G22: Matrix) -> tuple[Matrix, Matrix]:
    """For each map the largest pilot score over all shifts of a period, and that shift (y, x)."""
    waves, side = pilot_waves(), _SHIFT_GRID
    read_GK = sample(spectrum_FF, waves, maps_G22)
    energy_G = np.sqrt(np.sum(read_GK.real**2 + read_GK.imag**2, axis=1))
    # The scores are the real part of a transform: half of it suffices, so every wave is taken with x >= 0.
    turned = np.where(waves.x < 0, -1, 1)
    y, x = waves.y * turned, waves.x * turned
    match_GK = read_GK.conj() * pilot()
    match_GK = np.where(turned < 0, match_GK.conj(), match_GK).astype(np.complex64)
    half = np.zeros((len(maps_G22), side, side // 2 + 1), np.complex64)
    half[:, y % side, x] = match_GK
    axis = x == 0
    half[:, -y[axis] % side, 0] = match_GK[:, axis].conj()
    score_GN = np.fft.irfft2(half, s=(side, side)).reshape(len(maps_G22), -1) * (side * side / 2)
    best = score_GN.argmax(axis=1)
    steps = np.stack(np.unravel_index(best, (side, side)), axis=1)
    shift_G2 = (steps + side // 2) % side - side // 2
    score_G = score_GN[np.arange(len(best)), best] / np.maximum(energy_G, 1e-12)
    return score_G.astype(np.float64), shift_G2 * (PERIOD / side)


# --- climbing ---------------------------------------------------------------------------------------------------------

#: First steps of each entry of the matrix: 1 unit of shift; linear entries that move the border by as much.
_AFFINE_STEPS: Final = tuple(
    np.array(step, np.float64)
    for step in (
        [[0, 0, 1.0], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 1.0], [0, 0, 0]],
        [[0.008, 0, 0], [0, 0.008, 0], [0, 0, 0]],
        [[0, -0.008, 0], [0.008, 0, 0], [0, 0, 0]],
        [[0.008, 0, 0], [0, -0.008, 0], [0, 0, 0]],
        [[0, 0.008, 0], [0.008, 0, 0], [0, 0, 0]],
    )
)
_SLANTED_STEPS: Final = (
    *_AFFINE_STEPS,
    np.array([[0, 0, 0], [0, 0, 0], [8e-5, 0, 0]]),
    np.array([[0, 0, 0], [0, 0, 0], [0, 8e-5, 0]]),
)


def _climb(
    score: Callable[[Matrix], float], matrix: Matrix, steps: tuple[Matrix, ...], rounds: int
) -> tuple[float, Geometry]:
    """Coordinate ascent: keep every step that helps, halve the steps when none does."""
    best, factor = score(matrix), 1.0
    for _ in range(rounds):
        for _ in range(3):
            before = best
            for step in steps:
                for sign in (1.0, -1.0):
                    tried = matrix + sign * factor * step
                    value = score(tried)
                    if value > best:
                        best, matrix = value, tried
                        break
            if best == before:
                break
        factor /= 2
    return best, Geometry(matrix)


def _near(one: Geometry, other: Geometry) -> bool:
    """Whether two geometries move no corner by more than a few units against each other."""
    x, y = rectangle(PERIOD, PERIOD).T
    first, second = one.original(x, y), other.original(x, y)
    return bool(max(np.abs(first[0] - second[0]).max(), np.abs(first[1] - second[1]).max()) < 4.0)


def _phase(waves: Waves, shift_2: Matrix) -> NDArray[np.complex128]:
    return np.asarray(np.exp(-2j * np.pi / PERIOD * (waves.y * shift_2[0] + waves.x * shift_2[1])))


def _apply(matrix: Matrix, x: Matrix, y: Matrix) -> tuple[Matrix, Matrix]:
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    return (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / depth, (
        matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    ) / depth
