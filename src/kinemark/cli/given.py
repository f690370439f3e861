"""Turning what a command line names into a `Timeline`: a prompt alone, a picture to animate, a clip to continue.

Shapes: T frames, H height, W width, C channels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kinemark.errors import RequestError
from kinemark.timeline import SPARK_FPS, Timeline

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from torch import Tensor


#: The longer side of a clip whose size nobody named.
SIDE: Final = 256


def timeline_for(prompt: str, seconds: float, size: str | None, image: Path | None, clip: Path | None) -> Timeline:
    """The timeline that was asked for.

    Given pictures keep their shape: without a size they are scaled to a longer side of 256; with one they are cut, at
    the centre, to its shape. A given clip is read at 8 frames a second.

    Raises:
        RequestError: both or unreadable files, or a size, a length or a prompt that cannot be used.
    """
    from kinemark.generate import MAX_SECONDS, parse_size

    if image and clip:
        raise RequestError("--image and --extend were both given; a clip begins with a picture or continues a clip")
    if not 0 < seconds <= MAX_SECONDS:
        raise RequestError(f"seconds is {seconds}; a clip lasts more than 0 and at most {MAX_SECONDS} seconds")
    wanted = parse_size(size) if size else None
    frames = max(1, round(seconds * SPARK_FPS))
    if image:
        timeline = Timeline.from_image(_picture(image, wanted), prompt, num_frames=frames, fps=SPARK_FPS)
        return replace(timeline, sources=(image,))
    if clip:
        timeline = Timeline.extend(_video(clip, wanted, MAX_SECONDS), prompt, after=frames, fps=SPARK_FPS)
        return replace(timeline, sources=(clip,))
    return Timeline.from_text(prompt, num_frames=frames, fps=SPARK_FPS, size=wanted or (SIDE, SIDE))


def _picture(path: Path, wanted: tuple[int, int] | None) -> Tensor:
    from kinemark.data.video import read_image
    from kinemark.timeline import video_from_frames

    height, width = read_image(path).shape[:2]
    size = wanted or natural_size((height, width))
    image_HWC = read_image(path, size=covering((height, width), size))
    return video_from_frames(centre(image_HWC[None], size))[0]


def _video(path: Path, wanted: tuple[int, int] | None, most_seconds: int) -> Tensor:
    from kinemark.data.video import read_video
    from kinemark.timeline import video_from_frames

    height, width = read_video(path, max_frames=1).frames_THWC.shape[1:3]
    size = wanted or natural_size((height, width))
    video = read_video(path, size=covering((height, width), size), max_frames=most_seconds * SPARK_FPS)
    count = max(1, round(len(video.frames_THWC) / video.fps * SPARK_FPS))
    if count >= most_seconds * SPARK_FPS:
        raise RequestError(
            f"{path} lasts {count / SPARK_FPS:g} s or longer; at most {most_seconds} s can be continued to"
        )
    indices = [min(round(i / SPARK_FPS * video.fps), len(video.frames_THWC) - 1) for i in range(count)]
    return video_from_frames(centre(video.frames_THWC[indices], size))


def natural_size(source: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width) at which to run a source of that size: its shape, within what spark makes, even."""
    from kinemark.timeline import SPARK_SIZES

    scale = SIDE / max(source)
    scale = max(scale, SPARK_SIZES.least / min(source))
    height, width = (min(max(2 * round(side * scale / 2), SPARK_SIZES.least), SPARK_SIZES.most) for side in source)
    return height, width


def covering(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size (height, width) of the source's shape that covers `size`."""
    scale = max(size[0] / source[0], size[1] / source[1])
    return max(size[0], round(source[0] * scale)), max(size[1], round(source[1] * scale))


def centre(frames_THWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle (height, width) of every frame."""
    top, left = (frames_THWC.shape[1] - size[0]) // 2, (frames_THWC.shape[2] - size[1]) // 2
    return frames_THWC[:, top : top + size[0], left : left + size[1]]
