"""The only place where video and pictures are decoded and encoded (PyAV, which is FFmpeg).

Shapes: T frames, H height, W width, C = 3 channels (R, G, B), uint8.

Files come from strangers, so a file is opened by content and not by name, only through the formats listed here (a
playlist cannot make us read a second file or an address on the network), and its picture size is bounded.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from kinemark.data.boxes import outermost_boxes
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer

Frames = NDArray[np.uint8]
"""Frames [T, H, W, 3] or one picture [H, W, 3]: 8-bit RGB."""

Size = tuple[int, int] | int
"""A height and a width in pixels, or about how many pixels a frame shall have while it keeps its aspect."""
MediaKind = Literal["video", "image"]

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,png_pipe,jpeg_pipe,webp_pipe"
MAX_PIXELS = 8192 * 8192
"""Largest picture that is decoded; a few bytes can claim more than a machine's memory."""
_SAME_TIME = 1e-6
"""Times that differ by less, in seconds, are the same."""
MAX_BYTES = 4 << 30
"""Most decoded bytes that `read_video` holds at once."""


@dataclass(frozen=True, slots=True)
class Video:
    """Decoded frames `frames_THWC` (uint8 RGB) and their rate in frames per second."""

    frames_THWC: Frames
    fps: float


def media_kind(path: Path | str) -> MediaKind:
    """Say whether a file holds a video or a single picture, judged by its content.

    Raises:
        RequestError: the file is missing, empty, a folder, neither video nor picture, or named as what it is not.
    """
    with _opened(Path(path)) as container:
        return _kind(container)


def read_video(path: Path | str, *, size: Size | None = None, max_frames: int | None = None) -> Video:
    """Decode a video.

    Args:
        path: the file.
        size: what every frame is scaled to while decoding, averaging over areas; None keeps the size.
        max_frames: at most this many frames, evenly thinned over the whole video; `fps` then says the thinned rate.
            Memory is bounded by twice this number of frames however long the video is.

    Raises:
        RequestError: the file is missing, empty, damaged, too large to hold, or has no picture track.
    """
    path = Path(path)
    with _opened(path) as container:
        if _kind(container) == "image":
            raise RequestError(f"{path} is a picture, not a video; give an .mp4, .mov, .mkv, .webm or .gif file.")
        frames, stride = _thinned(path, _decoded(path, container, size), max_frames)
        fps = float(container.streams.video[0].average_rate or 0) / stride
    if not frames:
        raise RequestError(f"{path} has no frame that can be decoded: it is damaged. Get the file again.")
    return Video(frames_THWC=np.stack(frames), fps=fps if fps > 0 else 1.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a file holds, before anything of it is kept.

    Attributes:
        height: of its pictures, upright, in pixels; `width` too.
        fps: their mean rate, 0 for a single picture.
        bits: of each colour of a pixel.
        transparent: whether pixels have an opacity; they are laid on white.
    """

    height: int
    width: int
    fps: float
    bits: int
    transparent: bool


def read_shape(path: Path | str) -> Shape:
    """What a file holds; one frame of it is decoded.

    Raises:
        RequestError: as `read_video`; a picture is fine.
    """
    path = Path(path)
    with _opened(path) as container:
        rate = 0.0 if _kind(container) == "image" else float(container.streams.video[0].average_rate or 0)
        for image_HWC in _decoded(path, container, None):
            pixels = container.streams.video[0].codec_context.format
            parts = pixels.components if pixels else ()
            bits, transparent = max((part.bits for part in parts), default=8), any(part.is_alpha for part in parts)
            return Shape(image_HWC.shape[0], image_HWC.shape[1], rate, bits, transparent)
    raise RequestError(f"{path} has no frame that can be decoded: it is damaged. Get the file again.")


def read_at(path: Path | str, fps: float, *, size: Size, max_frames: int) -> Video:
    """Decode a video at a rate of its own: frame n is what is seen at n / fps seconds after the first.

    Frames of variable rate are taken at the times that they carry. Frames that are not seen are not kept.

    Args:
        path: the file.
        fps: frames a second of the result.
        size: what every frame is scaled to.
        max_frames: of the result.

    Raises:
        RequestError: as `read_video`; or the result would be longer.
    """
    path = Path(path)
    kept: list[Frames] = []
    with _opened(path) as container:
        if _kind(container) == "image":
            raise RequestError(f"{path} is a picture, not a video; give an .mp4, .mov, .mkv, .webm or .gif file.")
        stream = container.streams.video[0]
        interval = 1 / float(stream.average_rate) if stream.average_rate else 1 / fps
        first = last = None
        shown = 0.0
        for time, image_HWC in _timed(path, container, size):
            first = time if first is None else first
            start = time - first if first is not None and time is not None else shown + interval * (last is not None)
            while last is not None and len(kept) / fps < start - _SAME_TIME:
                kept.append(last)
                _require_length(path, kept, fps, max_frames)
            last, shown = image_HWC, start
        if last is not None:
            end = shown + interval
            while not kept or len(kept) / fps < end - 0.5 / fps:
                kept.append(last)
                _require_length(path, kept, fps, max_frames)
    if not kept:
        raise RequestError(f"{path} has no frame that can be decoded: it is damaged. Get the file again.")
    return Video(frames_THWC=np.stack(kept), fps=fps)


def _require_length(path: Path, kept: list[Frames], fps: float, max_frames: int) -> None:
    if len(kept) > max_frames:
        raise RequestError(f"{path} is longer than {max_frames / fps:g} s; cut it first.")


def read_image(path: Path | str, *, size: Size | None = None) -> Frames:
    """Decode one picture (PNG, JPEG or WebP) to [H, W, 3], scaled to `size` if that is given.

    Raises:
        RequestError: the file is missing, empty, damaged or not a picture.
    """
    path = Path(path)
    with _opened(path) as container:
        if _kind(container) == "video":
            raise RequestError(f"{path} is a video, not a picture; give a .png, .jpg or .webp file.")
        for image_HWC in _decoded(path, container, size):
            return image_HWC
    raise RequestError(f"{path} cannot be decoded: the picture is damaged. Get the file again.")


def read_tags(path: Path | str) -> dict[str, str]:
    """The metadata of a file's container, as names and values.

    Raises:
        RequestError: as `media_kind`.
    """
    with _opened(Path(path)) as container:
        return {str(name): str(value) for name, value in container.metadata.items()}


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """Open a media file by content after the checks that need no decoder."""
    if not path.exists():
        raise RequestError(f"{path} does not exist; check the name.")
    if not path.is_file():
        raise RequestError(f"{path} is a folder or a device; give a video or picture file.")
    if path.stat().st_size == 0:
        raise RequestError(
            f"{path} is empty (0 bytes); the download or copy may have been cut off. Get the file again."
        )
    _require_whole_boxes(path)
    what = f"{path} is not a video or picture that can be read (known: {', '.join(VIDEO_SUFFIXES + IMAGE_SUFFIXES)})"
    try:
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except PermissionError as error:
        raise RequestError(f"{path} may not be read by this user; change its permissions (chmod u+r).") from error
    except (av.error.FFmpegError, ValueError) as error:
        raise RequestError(
            f"{what}: {_reason(error)}. It may be damaged or of another kind; get the file again."
        ) from error
    with container:
        if not container.streams.video:
            kinds = sorted(str(stream.type) for stream in container.streams) or ["nothing"]
            raise RequestError(f"{path} has no picture track (it holds: {', '.join(kinds)}); give a file with video.")
        kind, suffix = _kind(container), path.suffix.lower()
        if suffix in (VIDEO_SUFFIXES if kind == "image" else IMAGE_SUFFIXES):
            found = container.format.name.removesuffix("_pipe").split(",")[0]
            raise RequestError(
                f"{path} is named {suffix} but its content is {found} ({kind}); rename it to what it is."
            )
        codec = container.streams.video[0].codec_context
        if codec is None:
            raise RequestError(f"{what}: nothing here decodes its codec. Get the file again, or convert it to H.264.")
        if not 0 < codec.width * codec.height <= MAX_PIXELS:
            raise RequestError(
                f"{path} has frames of {codec.width}x{codec.height}; at most {MAX_PIXELS} pixels are read."
            )
        yield container


def _kind(container: InputContainer) -> MediaKind:
    return "image" if container.format.name.endswith("_pipe") else "video"


def _decoded(path: Path, container: InputContainer, size: Size | None) -> Iterator[Frames]:
    """Yield RGB frames [H, W, 3]."""
    return (image_HWC for _, image_HWC in _timed(path, container, size))


def _timed(path: Path, container: InputContainer, size: Size | None) -> Iterator[tuple[float | None, Frames]]:
    """Yield frames with their times in seconds, if they have any; what cannot be decoded is skipped, as players do."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    converter = VideoReformatter()  # one for all frames: a converter of its own costs each of them 2 ms
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                yield frame.time, _rgb(frame, size, converter)
    except av.error.FFmpegError as error:
        raise RequestError(f"{path} is damaged: {_reason(error)}. Get the file again.") from error


def _rgb(frame: av.VideoFrame, size: Size | None, converter: VideoReformatter) -> Frames:
    """Convert to RGB, upright. Scaling comes last, so that `size` is the size of the upright picture."""
    turns = round(frame.rotation / 90) % 4
    height = width = None
    if size is not None:
        asked = size if isinstance(size, tuple) else _same_aspect(frame, size)
        height, width = asked if turns % 2 == 0 or asked is not size else asked[::-1]
    transparent = any(part.is_alpha for part in frame.format.components)
    kind = "rgba" if transparent else "rgb24"
    how = None if size is None else "AREA"
    pixels = np.asarray(converter.reformat(frame, width, height, kind, interpolation=how).to_ndarray(), np.uint8)
    if transparent:
        pixels = _on_white(pixels)
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _on_white(pixels_HW4: NDArray[np.uint8]) -> Frames:
    """Colours with an opacity, laid on white."""
    opacity = pixels_HW4[..., 3:].astype(np.float32) / 255
    laid = np.rint(pixels_HW4[..., :3] * opacity + 255 * (1 - opacity))
    return np.asarray(laid, np.uint8)


def _same_aspect(frame: av.VideoFrame, pixels: int) -> tuple[int, int]:
    scale = math.sqrt(pixels / (frame.height * frame.width))
    return max(1, round(frame.height * scale)), max(1, round(frame.width * scale))


def _thinned(path: Path, frames: Iterator[Frames], max_frames: int | None) -> tuple[list[Frames], int]:
    """Keep every stride-th frame, doubling the stride whenever more than `max_frames` are held."""
    kept: list[Frames] = []
    stride, held = 1, 0
    for index, frame in enumerate(frames):
        if index % stride:
            continue
        if kept and frame.shape != kept[0].shape:
            raise RequestError(
                f"{path} changes its frame size on the way, {kept[0].shape} to {frame.shape}; re-encode it."
            )
        kept.append(frame)
        held = len(kept) * frame.nbytes
        if max_frames is not None and len(kept) > max_frames:
            kept, stride = kept[::2], stride * 2
        elif held > MAX_BYTES:
            raise RequestError(f"{path} decodes to more than {MAX_BYTES >> 30} GiB; cut it into shorter pieces.")
    return kept, stride


def _require_whole_boxes(path: Path) -> None:
    """Refuse an MP4 whose last box runs past the end of the file (ISO/IEC 14496-12, 4.2): the copy was cut off."""
    size, end = path.stat().st_size, 0
    for box in outermost_boxes(path):
        if box.start == 0 and box.kind != b"ftyp":
            return
        if box.length < 8:
            raise RequestError(
                f"{path} is damaged: a box of {box.length} bytes at byte {box.start}. Get the file again."
            )
        end = box.start + box.length
    if end > size:
        raise RequestError(f"{path} is cut off: {size} of {end} bytes are there. Get the whole file again.")


def _reason(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and 0 < number < 200:  # larger ones are FFmpeg's own
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error)
