"""Attacks on the pixels of each frame: tone, blur, noise, size, crop, turn, slant, things drawn over it.

Every attack is a function of a `Clip` and a random generator and returns a `Clip`; its parameters are drawn from the
continuous ranges that its docstring states.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kinemark.provenance.grid import LUMA, Sampler, gaussian_matrix, resampled
from kinemark.provenance.marks.geometry import Geometry, homography, rectangle

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kinemark.data.video import Frames

    Generator = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames uint8 [T, H, W, 3], frames per second, and the frames [start, stop) that are ours after a splice."""

    frames: Frames
    fps: float
    ours: tuple[int, int] | None = None

    def each(self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Clip:
        """The clip with every frame changed as float32 [H, W, 3]; the result is rounded and clipped."""
        drawn = [change(frame.astype(np.float32)).round().clip(0, 255).astype(np.uint8) for frame in self.frames]
        return replace(self, frames=np.stack(drawn))


def brightness(clip: Clip, rng: Generator) -> Clip:
    """Add -40 to 40."""
    added = rng.uniform(-40, 40)
    return clip.each(lambda frame: frame + np.float32(added))


def contrast(clip: Clip, rng: Generator) -> Clip:
    """Stretch about middle grey by 0.6 to 1.5."""
    factor = rng.uniform(0.6, 1.5)
    return clip.each(lambda frame: (frame - 128) * np.float32(factor) + 128)


def gamma(clip: Clip, rng: Generator) -> Clip:
    """Exponent 0.6 to 1.7."""
    exponent = np.exp(rng.uniform(np.log(0.6), np.log(1.7)))
    table = (255 * (np.arange(256) / 255) ** exponent).round().astype(np.uint8)
    return replace(clip, frames=table[clip.frames])


def saturation(clip: Clip, rng: Generator) -> Clip:
    """Colour times 0 to 2."""
    factor = np.float32(rng.uniform(0, 2))

    def coloured(frame: NDArray[np.float32]) -> NDArray[np.float32]:
        grey = np.asarray(frame @ LUMA, np.float32)[..., None]
        return np.asarray(grey + (frame - grey) * factor, np.float32)

    return clip.each(coloured)


def grayscale(clip: Clip, _rng: Generator) -> Clip:
    """No colour."""
    return clip.each(lambda frame: np.repeat(np.asarray(frame @ LUMA, np.float32)[..., None], 3, axis=-1))


def blur(clip: Clip, rng: Generator) -> Clip:
    """Gaussian of 0.3 to 1.2 pixels at 256 pixels, more for larger frames."""
    height, width = clip.frames.shape[1:3]
    sigma = float(rng.uniform(0.3, 1.2) * np.sqrt(height * width) / 256)
    return clip.each(lambda frame: _blurred(frame, sigma))


def noise(clip: Clip, rng: Generator) -> Clip:
    """Gaussian of 2 to 10 steps, different on every frame."""
    size = rng.uniform(2, 10)
    return clip.each(lambda frame: frame + rng.normal(0, size, frame.shape).astype(np.float32))


def resize(clip: Clip, rng: Generator) -> Clip:
    """Sides times 0.5 to 2."""
    factor = np.exp(rng.uniform(np.log(0.5), np.log(2)))
    return resized(clip, *(round(side * factor / 2) * 2 for side in clip.frames.shape[1:3]))


def crop(part: float) -> Callable[[Clip, Generator], Clip]:
    """Cut a share 0 to `part` of each side away, somewhere; half of the time enlarged back to the old size."""

    def cropped(clip: Clip, rng: Generator) -> Clip:
        height, width = clip.frames.shape[1:3]
        keep = 1 - rng.uniform(0, part)
        rows, columns = round(height * keep / 2) * 2, round(width * keep / 2) * 2
        top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
        cut = replace(clip, frames=clip.frames[:, top : top + rows, left : left + columns])
        return resized(cut, height, width) if rng.random() < 0.5 else cut

    return cropped


def pad(clip: Clip, rng: Generator) -> Clip:
    """Black bars of 2 to 20 % on top and bottom or on both sides."""
    side = int(rng.integers(1, 3))
    width = round(clip.frames.shape[side] * rng.uniform(0.02, 0.2) / 2) * 2
    bars = [(0, 0)] * 4
    bars[side] = (width, width)
    return replace(clip, frames=np.pad(clip.frames, bars))


def flip(clip: Clip, _rng: Generator) -> Clip:
    """Mirrored left to right."""
    return replace(clip, frames=np.ascontiguousarray(clip.frames[:, :, ::-1]))


def rotate(clip: Clip, rng: Generator) -> Clip:
    """By -5 to 5 degrees; black corners, or half of the time enlarged until there are none."""
    height, width = clip.frames.shape[1:3]
    angle = np.deg2rad(rng.uniform(-5, 5))
    aspect = max(height, width) / min(height, width)
    zoom = np.cos(angle) + aspect * abs(np.sin(angle)) if rng.random() < 0.5 else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, zoom]])
    return warped(clip, turn)


def perspective(part: float) -> Callable[[Clip, Generator], Clip]:
    """Every corner moved by up to `part` of the side, each way."""

    def slanted(clip: Clip, rng: Generator) -> Clip:
        height, width = clip.frames.shape[1:3]
        corner = rectangle(height, width)
        return warped(clip, homography(corner, corner + rng.uniform(-part, part, (4, 2)) * [width, height]))

    return slanted


def subtitles(clip: Clip, rng: Generator) -> Clip:
    """Two lines of glyph-like strokes with dark outlines in the lower quarter, over about a tenth of the picture."""
    height, width = clip.frames.shape[1:3]
    line = max(6, round(height * 0.055))
    ink = np.zeros((height, width), bool)
    for row in (0, 1):
        top = round(height * 0.8) + row * round(line * 1.5)
        for left in range(round(width * 0.12), round(width * 0.88), max(4, line // 2)):
            glyph = rng.random((5, 3)) < 0.55
            letter = np.kron(glyph, np.ones((max(1, line // 5), max(1, line // 8)), bool))[:line]
            part = ink[top : top + len(letter), left : left + letter.shape[1]]
            part |= letter[: part.shape[0], : part.shape[1]]
    edge = np.pad(ink, 1)
    outline = np.any([np.roll(edge, move, (0, 1)) for move in ((0, 1), (1, 0), (0, -1), (-1, 0))], axis=0)[1:-1, 1:-1]
    drawn = clip.frames.copy()
    drawn[:, outline] = 8
    drawn[:, ink] = 240
    return replace(clip, frames=drawn)


def logo(clip: Clip, rng: Generator) -> Clip:
    """An opaque two-coloured disc on a plate over 10 % of the picture, anywhere."""
    height, width = clip.frames.shape[1:3]
    side = round(np.sqrt(0.1 * height * width))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    inside = np.hypot(y, x) < 0.42
    plate, disc = rng.integers(0, 256, (2, 3))
    drawn = clip.frames.copy()
    drawn[:, top : top + side, left : left + side] = np.where(inside[..., None], disc, plate)
    return replace(clip, frames=drawn)


def recapture(clip: Clip, rng: Generator) -> Clip:
    """A screen filmed by hand, simulated by fixed steps.

    The screen fills 88 to 100 % of the shot and is seen at a slant (corners moved by up to 2 %); a pixel grid beats
    with the sensor as a faint moire of 2 steps; the lens blurs by 0.5 to 0.9 pixels; white balance moves each colour by
    up to 6 %, gamma is 0.85 to 1.2; exposure breathes by 2 %; the sensor adds noise of 3 steps.
    """
    height, width = clip.frames.shape[1:3]
    fill = rng.uniform(0.88, 1.0)
    corner = rectangle(height, width)
    moved = corner * fill + rng.uniform(-0.02, 0.02, (4, 2)) * [width, height]
    shot = warped(clip, homography(moved, corner))
    sigma = float(rng.uniform(0.5, 0.9) * np.sqrt(height * width) / 256)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    beat = rng.uniform(0.15, 0.5, 2)
    moire = (2 * np.sin(beat[0] * x + 0.1 * y) * np.sin(beat[1] * y)).astype(np.float32)[..., None]
    balance, exponent = rng.uniform(0.94, 1.06, 3).astype(np.float32), rng.uniform(0.85, 1.2)
    breath, phase = rng.uniform(0.5, 1.5), rng.uniform(0, 6.28)
    exposure = iter(1 + 0.02 * np.sin(phase + breath * np.arange(len(clip.frames))))

    def film(frame: NDArray[np.float32]) -> NDArray[np.float32]:
        toned = 255 * (np.clip(_blurred(frame + moire, sigma), 0, 255) / 255) ** exponent
        filmed = toned * balance * next(exposure) + rng.normal(0, 3, frame.shape)
        return np.asarray(filmed, np.float32)

    return shot.each(film)


# --- parts ------------------------------------------------------------------------------------------------------------


def resized(clip: Clip, height: int, width: int) -> Clip:
    """Area means where it shrinks, linear interpolation where it grows."""
    return clip.each(lambda frame: _by_channel(frame, lambda plane: resampled(plane, height, width)))


def warped(clip: Clip, matrix: NDArray[np.float64]) -> Clip:
    """Every frame sampled where a homography takes each pixel's (x, y, 1) about the centre; black outside."""
    height, width = clip.frames.shape[1:3]
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    sample_at = Sampler((height, width), *Geometry(matrix).original(x, y))
    return clip.each(lambda frame: _by_channel(frame, sample_at))


def _blurred(frame_HWC: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    height, width = frame_HWC.shape[:2]
    down, across = gaussian_matrix(height, sigma), gaussian_matrix(width, sigma).T
    return _by_channel(frame_HWC, lambda plane: np.asarray(down @ plane @ across, np.float32))


def _by_channel(
    frame_HWC: NDArray[np.float32], change: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> NDArray[np.float32]:
    return np.stack([change(frame_HWC[..., channel]) for channel in range(3)], axis=-1)
