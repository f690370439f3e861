"""The only place where video and pictures are decoded and encoded (PyAV, which is FFmpeg).

Shapes: T frames, H height, W width, C = 3 channels (R, G, B), uint8.

Files come from strangers, so a file is opened by content and not by name, only through the formats listed here (a
playlist cannot make us read a second file or an address on the network), and its picture size is bounded.
"""

from __future__ import annotations

import errno
import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from kinemark.data.boxes import outermost_boxes
from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from av.container import InputContainer, OutputContainer

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
MAX_BYTES = 4 << 30
"""Most decoded bytes that `read_video` holds at once."""

CRF = 18
"""x264's constant rate factor: visually lossless, and gentle to the watermark."""
PRESET = "medium"
ENCODER_THREADS = 1
"""Fixed: the same frames give the same bytes on every machine. With four threads on a busy machine one encode in five
differed; clips are small, and one thread takes no longer."""
BT709 = 1
"""Code point for BT.709 matrix, primaries and transfer (ITU-T H.273), and for limited range in FFmpeg."""


_CAPTION_STYLE = b"""[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
"""How captions look, as FFmpeg wants to be told: in the form of SubStation Alpha."""


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


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption (3GPP timed text) from the first frame on: its text, and for how many seconds it is shown."""

    text: str
    seconds: float


def encode_mp4(
    frames_THWC: Frames,
    fps: float,
    path: Path | str,
    *,
    crf: int = CRF,
    tags: Mapping[str, str] | None = None,
    caption: Caption | None = None,
) -> None:
    """Write frames as H.264 in an MP4 file whose index comes first (faststart).

    The same frames and tags give the same bytes: fixed settings, no dates, no names. (x264's AVX-512 code can differ in
    last bits where the width is no multiple of 64.)

    Args:
        frames_THWC: uint8 RGB.
        fps: frames a second.
        path: the file.
        crf: x264's rate factor.
        tags: metadata of the container, by name.
        caption: what a caption track says, for people and programs that do not see the picture; None: no such track.

    Raises:
        RequestError: the frames are not uint8 [T, H, W, 3] with T >= 1 and even H and W, or fps is not in (0, 240].
        FailureError: the file cannot be written.
    """
    if frames_THWC.dtype != np.uint8 or frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or not len(frames_THWC):
        raise RequestError(
            f"frames are {frames_THWC.dtype} {frames_THWC.shape}; they must be uint8 [T, H, W, 3], T at least 1."
        )
    height, width = frames_THWC.shape[1:3]
    with Mp4Writer(path, fps=fps, size=(height, width), crf=crf, tags=tags, caption=caption) as writer:
        writer.write(frames_THWC)


class Mp4Writer:
    """Writes an H.264 MP4 piece by piece; a context manager. On an exception the file is incomplete: delete it."""

    def __init__(
        self,
        path: Path | str,
        *,
        fps: float,
        size: tuple[int, int],
        crf: int = CRF,
        tags: Mapping[str, str] | None = None,
        caption: Caption | None = None,
    ) -> None:
        height, width = size
        if height % 2 or width % 2 or min(size) < 2:
            raise RequestError(f"the size is {width}x{height}; H.264 with 4:2:0 colour needs even width and height.")
        if not 0 < fps <= 240:
            raise RequestError(f"fps is {fps}; it must be more than 0 and at most 240.")
        self._path = Path(path)
        self._size = size
        with _write_errors(self._path):
            # Without use_metadata_tags, names that MP4 does not know are dropped without a word.
            flags = "+faststart+use_metadata_tags" if tags else "+faststart"
            options = {"movflags": flags, "fflags": "+bitexact"}
            self._container = av.open(f"file:{self._path}", "w", format="mp4", options=options)
            self._container.metadata.update(tags or {})
            self._stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            self._caption = _caption_track(self._container, caption) if caption else None
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.options = {"crf": str(crf), "preset": PRESET}
        codec = self._stream.codec_context
        codec.thread_count = ENCODER_THREADS
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = BT709

    def write(self, frames_THWC: Frames) -> None:
        """Append frames."""
        assert frames_THWC.shape[1:] == (*self._size, 3), (frames_THWC.shape, self._size)
        with _write_errors(self._path):
            for frame_HWC in frames_THWC:
                rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
                yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                self._container.mux(self._stream.encode(yuv))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _write_errors(self._path):
            try:
                if kind is None:
                    if self._caption is not None:
                        self._container.mux(self._caption)
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()


def _caption_track(container: OutputContainer, caption: Caption) -> av.Packet[av.stream.Stream]:
    """Add a track of captions; returns its only one."""
    stream = container.add_stream("mov_text")
    stream.codec_context.subtitle_header = _CAPTION_STYLE
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    text = caption.text.encode()
    packet = av.Packet(len(text).to_bytes(2) + text)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = 0
    packet.duration = round(caption.seconds * 1000)
    return packet


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """FFmpeg's errors are OSErrors too: say which file, and what to do."""
    try:
        yield
    except OSError as error:
        advice = "free some space" if error.errno in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT} else "check the folder"
        raise FailureError(
            f"cannot write the video {path.name}: {error.strerror or error}; {advice} and try again."
        ) from error


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
    """Yield RGB frames [H, W, 3]; a packet that cannot be decoded is skipped, as a player does."""
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
                yield _rgb(frame, size, converter)
    except av.error.FFmpegError as error:
        raise RequestError(f"{path} is damaged: {_reason(error)}. Get the file again.") from error


def _rgb(frame: av.VideoFrame, size: Size | None, converter: VideoReformatter) -> Frames:
    """Convert to RGB, upright. Scaling comes last, so that `size` is the size of the upright picture."""
    turns = round(frame.rotation / 90) % 4
    if size is None:
        image = converter.reformat(frame, format="rgb24").to_ndarray()
    else:
        asked = size if isinstance(size, tuple) else _same_aspect(frame, size)
        height, width = asked if turns % 2 == 0 or asked is not size else asked[::-1]
        image = converter.reformat(frame, width, height, "rgb24", interpolation="AREA").to_ndarray()
    pixels = np.asarray(image, np.uint8)
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


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
