"""Streams, stills and times: what `data.encode` writes and `data.video.read_at` takes."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kinemark.data.encode import FragmentWriter, PngWriter, encode_mp4
from kinemark.data.video import read_at, read_image, read_shape
from kinemark.errors import FailureError, RequestError


def numbered(frames, height=32, width=48):
    """Frames of one grey each, brighter by 8 from one to the next."""
    return np.stack([np.full((height, width, 3), 8 * t, np.uint8) for t in range(frames)])


def numbers(frames_THWC):
    return (frames_THWC.astype(int).mean(axis=(1, 2, 3)) / 8).round().astype(int).tolist()


def write_at(path, times, rate=1000):
    """A video whose frame n is shown from times[n] on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.options = {"crf": "10", "bf": "0"}
        stream.codec_context.time_base = Fraction(1, rate)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(numbered(number + 1)[-1], format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("fps", "expected"), [(8, [*range(16)]), (4, [0, 2, 4, 6, 8, 10, 12, 14]), (16, None)])
def test_a_constant_rate_is_thinned_or_repeated(tmp_path, fps, expected):
    encode_mp4(numbered(16), 8, tmp_path / "a.mp4", crf=10)
    read = read_at(tmp_path / "a.mp4", fps, size=(32, 48), max_frames=100)
    assert read.fps == fps
    assert numbers(read.frames_THWC) == (expected or [n for n in range(16) for _ in range(2)])


def test_frames_of_variable_rate_are_taken_at_their_times(tmp_path):
    write_at(tmp_path / "a.mp4", [0.0, 0.1, 0.2, 1.0, 1.5])
    read = read_at(tmp_path / "a.mp4", 8, size=(32, 48), max_frames=100)
    # At 0, 0.125, ..: what was shown last; the frame of 0.2 s stands until 1.0 s.
    assert numbers(read.frames_THWC)[:13] == [0, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4]


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0.02, 0.9), min_size=1, max_size=12))
def test_whatever_the_times_every_frame_is_the_one_shown_then(tmp_path, gaps):
    times = [round(float(t), 3) for t in np.cumsum([0.0, *gaps])]
    write_at(tmp_path / "a.mp4", times)
    read = numbers(read_at(tmp_path / "a.mp4", 8, size=(32, 48), max_frames=200).frames_THWC)
    shown = [max(n for n, time in enumerate(times) if time <= t / 8 + 1e-6) for t in range(len(read))]
    assert read[: len(shown)] == shown
    assert len(read) >= times[-1] * 8


def test_a_video_that_is_too_long_is_told_before_it_is_held(tmp_path):
    encode_mp4(numbered(30), 8, tmp_path / "a.mp4")
    with pytest.raises(RequestError, match=r"longer than 2\.5 s"):
        read_at(tmp_path / "a.mp4", 8, size=(32, 48), max_frames=20)


def test_the_shape_of_a_file_is_read_without_its_frames(tmp_path):
    encode_mp4(numbered(5), 12, tmp_path / "a.mp4")
    shape = read_shape(tmp_path / "a.mp4")
    assert (shape.height, shape.width, shape.fps) == (32, 48, 12)
    PngWriter(tmp_path / "a.png").write(numbered(1))
    shape = read_shape(tmp_path / "a.png")
    assert (shape.height, shape.width, shape.fps) == (32, 48, 0)


def test_a_picture_keeps_every_pixel_and_its_tags(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3), dtype=np.uint8)
    writer = PngWriter(tmp_path / "a.png", tags={"AIGC": '{"Label":"1"}'})
    writer.write(picture)
    writer.finish()
    assert np.array_equal(read_image(tmp_path / "a.png"), picture[0])
    with Image.open(tmp_path / "a.png") as image:
        assert image.text["AIGC"] == '{"Label":"1"}'
    with pytest.raises(FailureError, match="cannot write"):
        PngWriter(tmp_path / "missing" / "a.png").write(picture)


def test_a_stream_needs_an_even_size():
    with pytest.raises(RequestError, match="even"):
        FragmentWriter(io.BytesIO(), fps=8, size=(31, 48))
