"""The only place where video is encoded (PyAV, which is FFmpeg), files and streams, and what leaves as a picture.

Shapes: T frames, H height, W width, C = 3 channels (R, G, B), uint8.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import av
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from av.container import OutputContainer

    from kinemark.data.video import Frames

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
        self._path = Path(path)
        # Without use_metadata_tags, names that MP4 does not know are dropped without a word.
        flags = "+faststart+use_metadata_tags" if tags else "+faststart"
        self._track = _Track(fps, size, {"crf": str(crf), "preset": PRESET})
        with _write_errors(self._path):
            self._container = _mp4(f"file:{self._path}", flags, tags)
            self._track.open(self._container)
            self._caption = _caption_track(self._container, caption) if caption else None

    def write(self, frames_THWC: Frames) -> None:
        """Append frames."""
        with _write_errors(self._path):
            self._track.write(frames_THWC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def finish(self) -> None:
        """Complete the file."""
        with _write_errors(self._path):
            try:
                if self._caption is not None:
                    self._container.mux(self._caption)
                self._track.finish()
            finally:
                self._container.close()

    def abandon(self) -> None:
        """Close what is still open, whatever is in it."""
        with suppress(OSError):
            self._container.close()


class PngWriter:
    """Writes one picture as PNG, with the methods of `Mp4Writer`."""

    def __init__(self, path: Path | str, *, tags: Mapping[str, str] | None = None) -> None:
        self._path, self._tags = Path(path), dict(tags or {})

    def write(self, frames_THWC: Frames) -> None:
        """Write the picture, a frame [1, H, W, 3]."""
        info = PngInfo()
        for name, value in self._tags.items():
            info.add_itxt(name, value)
        (frame_HWC,) = frames_THWC
        with _write_errors(self._path):
            Image.fromarray(frame_HWC).save(self._path, "PNG", pnginfo=info)

    def finish(self) -> None:
        """Nothing is left to be done."""

    def abandon(self) -> None:
        """Nothing is open."""


class FragmentWriter:
    """Writes H.264 as fragmented MP4 into a pipe, which plays as it arrives.

    A context manager; on an exception the stream just ends.
    """

    def __init__(
        self, pipe: BinaryIO, *, fps: float, size: tuple[int, int], tags: Mapping[str, str] | None = None
    ) -> None:
        # The encoder holds no frame back: whoever watches is not to wait.
        self._track = _Track(fps, size, {"crf": str(CRF), "preset": "veryfast", "tune": "zerolatency"})
        # A fragment is as long as a frame.
        flags = "+empty_moov+default_base_moof+frag_keyframe+use_metadata_tags"
        with _write_errors(_STREAM):
            self._container = _mp4(_Forward(pipe), flags, tags, frag_duration="1", flush_packets="1")
            self._track.open(self._container)

    def write(self, frames_THWC: Frames) -> None:
        """Send frames; the last of them goes out with the next ones, for only then it is known how long it lasts."""
        with _write_errors(_STREAM):
            self._track.write(frames_THWC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with _write_errors(_STREAM):
                self._track.finish()
                self._container.close()
            return
        # Where nobody reads any more, that was said when a frame could not be sent.
        with suppress(OSError):
            self._container.close()


class _Forward:
    """What a muxer may do with a pipe: write, and have it arrive at once."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        """Pass it on."""
        self._pipe.write(data)
        self._pipe.flush()
        return len(data)


_STREAM = Path("the stream")


def _mp4(where: str | _Forward, flags: str, tags: Mapping[str, str] | None, **more: str) -> OutputContainer:
    container = av.open(where, "w", format="mp4", options={"movflags": flags, "fflags": "+bitexact", **more})
    container.metadata.update(tags or {})
    return container


class _Track:
    """The picture track of a file: H.264 with fixed settings, in BT.709."""

    def __init__(self, fps: float, size: tuple[int, int], options: dict[str, str]) -> None:
        height, width = size
        if height % 2 or width % 2 or min(size) < 2:
            even = f"{max(2, width + width % 2)}x{max(2, height + height % 2)}"
            raise RequestError(
                f"the size is {width}x{height}; H.264 with 4:2:0 colour needs even width and height: ask for {even}."
            )
        if not 0 < fps <= 240:
            raise RequestError(f"fps is {fps}; it must be more than 0 and at most 240.")
        self._rate, self._size, self._options = Fraction(fps).limit_denominator(1001), size, options

    def open(self, container: OutputContainer) -> None:
        """Add it to a file."""
        self._container = container
        self._stream = container.add_stream("libx264", rate=self._rate)
        self._stream.height, self._stream.width = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = dict(self._options)
        codec = self._stream.codec_context
        codec.thread_count = ENCODER_THREADS
        codec.colorspace = codec.color_primaries = codec.color_trc = codec.color_range = BT709

    def write(self, frames_THWC: Frames) -> None:
        """Append frames."""
        assert frames_THWC.shape[1:] == (*self._size, 3), (frames_THWC.shape, self._size)
        for frame_HWC in frames_THWC:
            rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            self._container.mux(self._stream.encode(yuv))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


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
