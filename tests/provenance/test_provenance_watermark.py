import hashlib
import math

import numpy as np
import pytest
from provenance_clips import FPS, VARIED, ball, texture

from kinemark.data.video import encode_mp4, read_video
from kinemark.errors import RequestError
from kinemark.provenance import watermark

KEY = bytes(range(32))
ID = 0xC0FFEE42
LUMA = np.array([0.2126, 0.7152, 0.0722])


@pytest.fixture(scope="module", params=VARIED)
def pair(request):
    frames = VARIED[request.param]()
    return frames, watermark.embed(frames, ID, KEY)


def recoded(frames, folder, crf, size=None):
    encode_mp4(frames, FPS, folder / "clip.mp4", crf=crf)
    return read_video(folder / "clip.mp4", size=size).frames_THWC


def test_luma_psnr_of_every_frame_is_at_least_42_db(pair):
    frames, marked = pair
    error = (marked @ LUMA - frames @ LUMA) ** 2
    psnr = 10 * np.log10(255**2 / error.mean(axis=(1, 2)))
    assert psnr.min() >= 42
    assert psnr.max() < 60  # something was written


def test_the_original_is_left_alone(pair):
    frames, marked = pair
    assert marked is not frames
    assert marked.dtype == np.uint8
    assert marked.shape == frames.shape


def test_the_same_change_lies_on_every_frame_of_a_still(pair):
    frames, _ = pair
    still = np.repeat(frames[:1], 3, axis=0)
    marked = watermark.embed(still, ID, KEY)
    assert (marked == marked[:1]).all()


def test_an_id_is_read_from_the_pixels(pair):
    found = watermark.detect(pair[1], KEY)
    assert found.payload == ID
    assert found.present
    assert found.orientation == "upright"
    assert found.agreement > 0.9
    assert found.false_accept == 2.0**-32


def test_an_unmarked_clip_has_none(pair):
    found = watermark.detect(pair[0], KEY)
    assert found.payload is None
    assert not found.present
    assert found.agreement is None
    assert found.p_value > 1e-6


def test_another_key_reads_nothing(pair):
    found = watermark.detect(pair[1], b"another key")
    assert found.payload is None
    assert not found.present


@pytest.mark.parametrize("crf", [18, 28])
def test_survives_h264(pair, tmp_path, crf):
    assert watermark.detect(recoded(pair[1], tmp_path, crf), KEY).payload == ID


def test_survives_half_size_and_a_second_encoding(pair, tmp_path):
    half = recoded(pair[1], tmp_path, 18, size=(128, 128))
    assert watermark.detect(recoded(half, tmp_path, 23), KEY).payload == ID


def test_survives_brightness_and_contrast(pair, tmp_path):
    brighter = np.clip(recoded(pair[1], tmp_path, 18) * 1.15 + 8, 0, 255).astype(np.uint8)
    assert watermark.detect(brighter, KEY).payload == ID


def test_survives_lost_frames_and_reversal(pair):
    assert watermark.detect(pair[1][::-3], KEY).payload == ID


@pytest.mark.parametrize(
    ("turn", "name"),
    [
        (lambda f: f[:, :, ::-1], "mirrored"),
        (lambda f: f[:, ::-1, ::-1], "upside down"),
        (lambda f: f.swapaxes(1, 2), "turned upright"),
    ],
)
def test_mirrored_and_turned_clips_are_read(turn, name):
    marked = watermark.embed(ball(frames=3), ID, KEY)
    found = watermark.detect(np.ascontiguousarray(turn(marked)), KEY)
    assert found.payload == ID
    assert found.orientation == name
    assert found.false_accept > 2.0**-32


@pytest.mark.parametrize("size", [(144, 256), (160, 90), (480, 640), (64, 64)])
def test_any_size_and_aspect(size):
    frames = ball(frames=3, height=size[0], width=size[1])
    assert watermark.detect(watermark.embed(frames, 7, KEY), KEY).payload == 7


@pytest.mark.parametrize("payload", [0, 1, 2**32 - 1])
def test_the_whole_range_of_ids(payload):
    assert watermark.detect(watermark.embed(ball(frames=2), payload, KEY), KEY).payload == payload


def test_a_long_clip_is_marked_piece_by_piece_as_in_one():
    frames = np.repeat(ball(frames=3), 14, axis=0)  # 42 frames: more than one chunk
    assert (watermark.embed(frames, ID, KEY)[30:40] == watermark.embed(frames[30:40], ID, KEY)).all()


def test_the_average_of_many_clips_does_not_carry_a_readable_mark():
    # Ids differ, so the patterns cancel: what is left cannot be pasted onto other footage.
    frames = ball(frames=1)
    rest = (
        np.mean([watermark.embed(frames, i * 0x9E3779B1 % 2**32, KEY).astype(float) for i in range(40)], axis=0)
        - frames
    )
    forged = np.clip(texture(frames=1) + rest, 0, 255).round().astype(np.uint8)
    found = watermark.detect(forged, KEY)
    assert found.payload is None
    assert not found.present


def test_chi2_of_unmarked_clips_follows_its_null_law():
    spectra = [watermark._spectrum(make(frames=2)) for make in VARIED.values()]
    chi2 = [
        watermark._carriers(hashlib.sha256(bytes([i])).digest()).correlate(spectrum)[1]
        for i in range(100)
        for spectrum in spectra
    ]
    assert np.mean(chi2) == pytest.approx(288, abs=8)
    assert np.std(chi2) < 1.15 * math.sqrt(2 * 288)


def test_chi2_tail_is_the_survival_function():
    assert watermark._chi2_tail(0, 288) == 1
    assert watermark._chi2_tail(2.0, 2) == pytest.approx(math.exp(-1))
    assert watermark._chi2_tail(18.307, 10) == pytest.approx(0.05, rel=1e-3)  # the table's 95th percentile
    assert 0 < watermark._chi2_tail(2000, 288) < 1e-200


def test_carriers_are_fixed_for_all_time():
    # Clips that left must be readable by every later version: these numbers may never change.
    carriers = watermark._carriers(b"\x00" * 32)
    digest = hashlib.sha256(carriers.bit.astype("<i8").tobytes() + carriers.sign.astype("<f8").tobytes())
    assert digest.hexdigest()[:16] == "4f4d76d53f6e2439"
    assert watermark._check(b"\x00\x00\x00\x07", b"\x00" * 32).hex() == "3592bf94"


@pytest.mark.parametrize("payload", [-1, 2**32])
def test_an_id_out_of_range_is_an_error(payload):
    with pytest.raises(RequestError, match="2\\^32"):
        watermark.embed(ball(frames=1), payload, KEY)


@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (1, 63, 64, 3), (64, 64, 3), (1, 64, 64, 4)])
def test_frames_of_a_wrong_shape_are_an_error(shape):
    with pytest.raises(RequestError, match="at least 64 x 64"):
        watermark.embed(np.zeros(shape, np.uint8), 1, KEY)
    with pytest.raises(RequestError, match="at least 64 x 64"):
        watermark.detect(np.zeros(shape, np.uint8), KEY)


def test_a_black_clip_neither_breaks_nor_is_recognised():
    assert watermark.detect(np.zeros((2, 64, 64, 3), np.uint8), KEY).payload is None
