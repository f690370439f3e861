"""Sizes of given pictures and clips: the shape is kept, and what does not fit is cut at the centre."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kinemark.conform import centre, covering, frames_in, give_picture, give_video, natural_size
from kinemark.data.encode import encode_mp4
from kinemark.errors import RequestError
from kinemark.sizes import SPARK_SIZES
from kinemark.spark import TARGET

sides = st.integers(16, 8000)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((256, 256), (256, 256)),
        ((1080, 1920), (144, 256)),
        ((1920, 1080), (256, 144)),
        ((100, 100), (256, 256)),
        ((200, 300), (200, 300)),
        ((512, 128), (512, 128)),
        ((201, 300), (172, 256)),
        ((300, 1000), (128, 426)),
        ((100, 4000), (128, 512)),
    ],
)
def test_a_source_keeps_its_shape_within_what_spark_makes(source, size):
    assert natural_size(source, TARGET) == size


@settings(deadline=None)
@given(sides, sides)
def test_every_source_has_a_size_that_can_be_made(height, width):
    size = natural_size((height, width), TARGET)
    assert all(SPARK_SIZES.least <= side <= SPARK_SIZES.most and side % 2 == 0 for side in size)


@settings(deadline=None)
@given(sides, sides, st.integers(128, 512), st.integers(128, 512))
def test_what_covers_is_as_small_as_can_be(height, width, tall, wide):
    covered = covering((height, width), (tall, wide))
    assert covered[0] >= tall
    assert covered[1] >= wide
    assert covered[0] == tall or covered[1] == wide
    assert abs(covered[0] * width - covered[1] * height) <= max(height, width)


def test_the_centre_is_cut():
    frames = np.arange(2 * 8 * 10 * 3).reshape(2, 8, 10, 3)
    assert (centre(frames, (4, 6)) == frames[:, 2:6, 2:8]).all()
    assert centre(frames, (8, 10)).shape == frames.shape


def test_a_transparent_picture_is_laid_on_white_and_said(tmp_path):
    pixels = np.zeros((128, 128, 4), np.uint8)
    pixels[:, 64:] = (200, 0, 0, 255)
    pixels[:64, :, 3] //= 2
    Image.fromarray(pixels).save(tmp_path / "a.png")
    given = give_picture(tmp_path / "a.png", TARGET)
    left, half, right = (given.video_TCHW[0, :, y, x].mul(255).round().tolist() for y, x in ((9, 9), (9, 99), (99, 99)))
    assert left == [255, 255, 255]
    assert half == pytest.approx([228, 128, 128], abs=1)
    assert right == [200, 0, 0]
    assert given.notes == ("a.png is transparent in parts; it is laid on white.",)


def test_a_picture_of_16_bits_is_read_with_8_and_said(tmp_path):
    deep = np.linspace(0, 65535, 128 * 128).astype(np.uint16).reshape(128, 128)
    Image.fromarray(deep).save(tmp_path / "a.png")
    given = give_picture(tmp_path / "a.png", TARGET)
    assert given.notes == ("a.png has 16 bits a colour; it is read with 8.",)
    assert given.video_TCHW[0, 0, -1, -1] > 0.99


def test_sound_without_pictures_is_told(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        container.mux(stream.encode(samples))
        container.mux(stream.encode(None))
    with pytest.raises(RequestError, match=r"a\.mp4"):
        give_video(tmp_path / "a.mp4", TARGET)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"ftypisom" * 50])
def test_what_is_no_video_is_told(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(RequestError, match=r"a\.mp4"):
        give_video(tmp_path / "a.mp4", TARGET)


def test_a_cut_off_video_is_told(tmp_path):
    encode_mp4(np.zeros((16, 128, 128, 3), np.uint8), 8, tmp_path / "a.mp4")
    whole = (tmp_path / "a.mp4").read_bytes()
    for length in (len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.mp4").write_bytes(whole[:length])
        with pytest.raises(RequestError, match="cut off"):
            give_video(tmp_path / "a.mp4", TARGET)


@given(st.floats(0.05, 60))
def test_lengths_are_taken_to_the_nearest_frame_and_that_is_said(seconds):
    frames, notes = frames_in(seconds, 8, "seconds")
    assert abs(frames / 8 - seconds) <= max(1 / 16, 1 / 8 - seconds) + 1e-9
    assert bool(notes) == (abs(frames / 8 - seconds) > 1e-6)
