"""What people give, brought to what a model makes: size, frame rate, length. Whatever is changed is said.

Shapes: T frames, H height, W width, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinemark.data.video import read_at, read_image, read_shape
from kinemark.errors import RequestError
from kinemark.timeline import MAX_SECONDS, video_from_frames

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from kinemark.data.video import Shape
    from kinemark.sizes import Target


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Pixels that were given: where from, and what was done to them.

    Attributes:
        video_TCHW: RGB in [0, 1], at the size and rate of the clip to be made; a picture is T = 1.
        fps: frames a second at which they are taken.
        source: the file.
        notes: a sentence for each thing that was changed.
    """

    video_TCHW: Tensor
    fps: int
    source: Path
    notes: tuple[str, ...]

    @property
    def frames(self) -> int:
        """How many there are."""
        return int(self.video_TCHW.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.video_TCHW.shape[2]), int(self.video_TCHW.shape[3])


def give_picture(path: Path, target: Target, size: tuple[int, int] | None = None) -> Given:
    """Read a picture, scaled to cover `size` and cut to it at the centre; without a size it keeps its shape.

    Raises:
        RequestError: the file is missing, damaged, or no picture.
    """
    shape = read_shape(path)
    source = shape.height, shape.width
    wanted = size or natural_size(source, target)
    image_HWC = read_image(path, size=covering(source, wanted))
    return Given(video_from_frames(centre(image_HWC[None], wanted)), target.fps, path, _notes(path, shape, wanted))


def give_video(path: Path, target: Target, size: tuple[int, int] | None = None) -> Given:
    """Read a video at the rate of a model, scaled to cover `size` and cut to it at the centre.

    Without a size it keeps its shape. Frames are taken at the times that they carry.

    Raises:
        RequestError: the file is missing, damaged, no video, or longer than a clip can be.
    """
    shape = read_shape(path)
    source = shape.height, shape.width
    wanted, fps = size or natural_size(source, target), target.fps
    video = read_at(path, fps, size=covering(source, wanted), max_frames=MAX_SECONDS * fps)
    notes = _notes(path, shape, wanted)
    if abs(shape.fps - fps) > 0.01:
        notes += (f"{path.name} has {shape.fps:.3g} frames a second; it is taken at {fps}.",)
    return Given(video_from_frames(centre(video.frames_THWC, wanted)), fps, path, notes)


def frames_in(seconds: float, fps: int, what: str) -> tuple[int, tuple[str, ...]]:
    """A length in seconds as whole frames, the nearest ones, and a note where that is not exactly the same.

    Args:
        seconds: more than 0, and at most a clip's longest.
        fps: frames a second.
        what: is so long; "seconds" for an option of that name.

    Raises:
        RequestError: the length is out of range.
    """
    if not 0 < seconds <= MAX_SECONDS:
        raise RequestError(f"{what} is {seconds}; a clip lasts more than 0 and at most {MAX_SECONDS} seconds")
    frames = max(1, round(seconds * fps))
    if abs(frames - seconds * fps) < 1e-6:
        return frames, ()
    return frames, (f"{what} {seconds:g} is taken as {frames} frames at {fps} a second: {frames / fps:g} s.",)


def _notes(path: Path, shape: Shape, wanted: tuple[int, int]) -> tuple[str, ...]:
    """What is done to pictures of a shape to make them 8-bit RGB of the size that is wanted."""
    notes = []
    source = shape.height, shape.width
    if source != wanted:
        height, width = covering(source, wanted)
        scaled = f"{path.name} is {source[1]}x{source[0]}; it is scaled to {width}x{height}"
        if (height, width) != wanted:
            scaled += f" and cut at the centre to {wanted[1]}x{wanted[0]}"
        notes.append(f"{scaled}.")
    if shape.bits > 8:
        notes.append(f"{path.name} has {shape.bits} bits a colour; it is read with 8.")
    if shape.transparent:
        notes.append(f"{path.name} is transparent in parts; it is laid on white.")
    return tuple(notes)


def natural_size(source: tuple[int, int], target: Target) -> tuple[int, int]:
    """The size (height, width) at which to run a source of that size: its own, if that is one that the model makes.

    Else its shape with a longer side like the model's usual one, within what it makes, and even.
    """
    least, most = target.sizes.least, target.sizes.most
    if all(least <= side <= most and side % 2 == 0 for side in source):
        return source
    scale = max(max(target.size) / max(source), least / min(source))
    height, width = (min(max(2 * round(side * scale / 2), least), most) for side in source)
    return height, width


def covering(source: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size (height, width) of the source's shape that covers `size`."""
    scale = max(size[0] / source[0], size[1] / source[1])
    return max(size[0], round(source[0] * scale)), max(size[1], round(source[1] * scale))


def centre(frames_THWC: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle (height, width) of every frame."""
    top, left = (frames_THWC.shape[1] - size[0]) // 2, (frames_THWC.shape[2] - size[1]) // 2
    return frames_THWC[:, top : top + size[0], left : left + size[1]]


def share_at(points: Sequence[tuple[float, float]], time: float) -> float:
    """The share at a time in 0..1: on straight lines between the points, level before the first and after the last."""
    before = [point for point in points if point[0] <= time]
    after = [point for point in points if point[0] > time]
    if not before or not after:
        return (before or after)[-1 if before else 0][1]
    (start, low), (end, high) = before[-1], after[0]
    return low + (high - low) * (time - start) / (end - start)
