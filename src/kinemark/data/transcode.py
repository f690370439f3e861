"""What codecs do to frames, in memory: encode, decode, and give back frames. Nothing that leaves here is a file.

Used to measure what marks survive. The second and last place, beside `data.video`, that calls PyAV.
"""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np

from kinemark.errors import FailureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.data.video import Frames


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder of FFmpeg.

    Attributes:
        encoder: its name.
        container: the format around it.
        pixel_format: what it encodes.
        quality: the options that hold the quality.
        digits: decimals that the quality may have.
        options: fixed options.
    """

    encoder: str
    container: str
    pixel_format: str
    quality: tuple[str, ...]
    digits: int = 0
    options: tuple[tuple[str, str], ...] = ()

    @property
    def range(self) -> str:
        """The range of its luma, as FFmpeg names it."""
        return "JPEG" if self.pixel_format.startswith("yuvj") else "MPEG"


H264: Final = Codec("libx264", "mp4", "yuv420p", ("crf",), 2, (("preset", "medium"),))
H265: Final = Codec("libx265", "mp4", "yuv420p", ("crf",), 2, (("preset", "fast"), ("x265-params", "log-level=none")))
VP9: Final = Codec(
    "libvpx-vp9", "webm", "yuv420p", ("crf",), 0, (("b:v", "0"), ("deadline", "good"), ("cpu-used", "4"))
)
AV1: Final = Codec("libsvtav1", "mp4", "yuv420p", ("crf",), 0, (("preset", "8"),))
JPEG: Final = Codec("mjpeg", "avi", "yuvj420p", ("qmin", "qmax"))


def transcode(frames_THWC: Frames, fps: float, codec: Codec, quality: float) -> Frames:
    """Frames after encoding and decoding; odd sizes lose their last row or column, as 4:2:0 colour wants it.

    Raises:
        FailureError: this build of FFmpeg lacks the encoder.
    """
    height, width = (side // 2 * 2 for side in frames_THWC.shape[1:3])
    memory = io.BytesIO()
    try:
        with _priority_kept(), av.open(memory, "w", format=codec.container) as output:
            stream = output.add_stream(codec.encoder, rate=Fraction(fps).limit_denominator(1001))
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, codec.pixel_format
            level = f"{quality:.{codec.digits}f}"
            stream.options = {**dict(codec.options), **dict.fromkeys(codec.quality, level)}
            stream.codec_context.thread_count = 1
            for frame_HWC in frames_THWC[:, :height, :width]:
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
                picture = picture.reformat(
                    format=codec.pixel_format, dst_colorspace="ITU709", dst_color_range=codec.range
                )
                output.mux(stream.encode(picture))
            output.mux(stream.encode(None))
    except av.error.EncoderNotFoundError as error:
        raise FailureError(f"this FFmpeg has no encoder {codec.encoder}; install a build of PyAV that does.") from error
    memory.seek(0)
    with av.open(memory, "r") as source:
        decoded = [
            frame.reformat(format="rgb24", src_colorspace="ITU709", src_color_range=codec.range).to_ndarray()
            for frame in source.decode(video=0)
        ]
    return np.stack(decoded)


@contextmanager
def _priority_kept() -> Iterator[None]:
    """Undo what an encoder does to the scheduling of the calling thread.

    SVT-AV1 leaves it with real-time priority where it may: everything else would starve.
    """
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def palette(frames_THWC: Frames) -> Frames:
    """Frames as a GIF shows them: one palette of 256 colours for the clip, dithered (palettegen, paletteuse)."""
    height, width = frames_THWC.shape[1:3]
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1, 10))
    split, make, use = graph.add("split"), graph.add("palettegen"), graph.add("paletteuse")
    shown, sink = graph.add("format", "rgb24"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(make, 0, 0)
    split.link_to(use, 1, 0)
    make.link_to(use, 0, 1)
    use.link_to(shown)
    shown.link_to(sink)
    graph.configure()
    for index, frame_HWC in enumerate(frames_THWC):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
        picture.pts, picture.time_base = index, Fraction(1, 10)
        source.push(picture)
    source.push(None)
    drawn = []
    for _ in frames_THWC:
        frame = sink.pull()
        assert isinstance(frame, av.VideoFrame)
        drawn.append(frame.to_ndarray())
    return np.stack(drawn)
