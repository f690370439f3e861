"""Attacks on the sequence of frames, codecs, and chains of attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kinemark.data.transcode import H264, Codec, palette, transcode
from kinemark.provenance.robustness.pixels import Clip, resized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames

Generator = np.random.Generator
Attack = Callable[[Clip, Generator], Clip]

RELEASE_CRF = 18.0
"""How a released file is encoded before anything happens to it."""
SHARING_CRF = 23.0
"""How a changed clip is encoded again before it is looked at."""


def encoded(codec: Codec, low: float, high: float) -> Attack:
    """One generation of a codec at a quality drawn between two levels."""

    def encode(clip: Clip, rng: Generator) -> Clip:
        return replace(clip, frames=transcode(clip.frames, clip.fps, codec, rng.uniform(low, high)))

    return encode


def chain(*attacks: Attack) -> Attack:
    """One attack after the other."""

    def attacked(clip: Clip, rng: Generator) -> Clip:
        for attack in attacks:
            clip = attack(clip, rng)
        return clip

    return attacked


shared: Attack = encoded(H264, SHARING_CRF, SHARING_CRF)
"""The encoding that follows every attack that is not a codec itself."""


def then_shared(*attacks: Attack) -> Attack:
    """The attacks, then H.264 at CRF 23, as a platform does."""
    return chain(*attacks, shared)


def gif(clip: Clip, _rng: Generator) -> Clip:
    """A GIF: 256 colours, dithered."""
    return replace(clip, frames=palette(clip.frames))


def trim(seconds: float) -> Attack:
    """Keep so many seconds, from anywhere."""

    def cut(clip: Clip, rng: Generator) -> Clip:
        count = min(len(clip.frames), max(1, round(seconds * clip.fps)))
        start = rng.integers(0, len(clip.frames) - count + 1)
        return replace(clip, frames=clip.frames[start : start + count])

    return cut


def every_second_lost(clip: Clip, _rng: Generator) -> Clip:
    """Half of the frames are missing."""
    return replace(clip, frames=clip.frames[::2])


def speed(clip: Clip, rng: Generator) -> Clip:
    """0.5 to 2 times as fast, by repeating or dropping frames."""
    factor = np.exp(rng.uniform(np.log(0.5), np.log(2)))
    return replace(clip, frames=_at(clip.frames, np.arange(0, len(clip.frames), factor)))


def frame_rate(clip: Clip, rng: Generator) -> Clip:
    """Another frame rate, 0.6 to 2.5 times the old one; frames in between are blended."""
    factor = rng.uniform(0.6, 2.5)
    position = np.arange(0, len(clip.frames) - 1, 1 / factor)
    before = position.astype(np.int64)
    part = (position - before)[:, None, None, None].astype(np.float32)
    mixed = clip.frames[before] * (1 - part) + clip.frames[before + 1] * part
    return replace(clip, frames=mixed.round().astype(np.uint8), fps=clip.fps * factor)


def reverse(clip: Clip, _rng: Generator) -> Clip:
    """Backwards."""
    return replace(clip, frames=clip.frames[::-1])


def screenshot(clip: Clip, rng: Generator) -> Clip:
    """One frame."""
    return replace(clip, frames=clip.frames[(index := int(rng.integers(len(clip.frames)))) : index + 1])


def splice(other_THWC: Frames) -> Attack:
    """Other footage before and after: 30 to 60 % of the clip stays, and where it lies is recorded."""

    def spliced(clip: Clip, rng: Generator) -> Clip:
        count, height, width = clip.frames.shape[:3]
        keep = round(count * rng.uniform(0.3, 0.6))
        start = int(rng.integers(0, count - keep + 1))
        foreign = resized(Clip(other_THWC, clip.fps), height, width).frames
        mixed = _at(foreign, np.arange(count) % len(foreign)).copy()
        mixed[start : start + keep] = clip.frames[start : start + keep]
        return replace(clip, frames=mixed, ours=(start, start + keep))

    return spliced


def _at(frames_THWC: Frames, position: NDArray[np.float64] | NDArray[np.int64]) -> Frames:
    return np.asarray(frames_THWC[np.minimum(position.astype(np.int64), len(frames_THWC) - 1)], np.uint8)
