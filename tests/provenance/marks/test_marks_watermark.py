import numpy as np
import pytest
from provenance_clips import FPS, VARIED, ball, grid, sunset, texture, warped

from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.errors import RequestError
from kinemark.provenance.marks import carriers, watermark
from kinemark.provenance.marks.geometry import Geometry

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
    assert found.geometry == "unchanged"
    assert found.agreement > 0.9
    assert found.false_accept == 2.0**-34
    assert found.spans == ((0, len(pair[1])),)


def test_an_unmarked_clip_has_none(pair):
    found = watermark.detect(pair[0], KEY)
    assert found.payload is None
    assert not found.present
    assert found.agreement is None
    assert found.p_value > 1e-4
    assert found.geometry is None
    assert found.spans == ()


@pytest.mark.parametrize("key", [b"another key", None])
def test_without_the_key_only_the_presence_mark_is_found(pair, key):
    found = watermark.detect(pair[1], key)
    assert found.payload is None
    assert found.present
    assert found.p_value < watermark.PRESENCE_LIMIT


@pytest.mark.parametrize("crf", [18, 28])
def test_survives_h264(pair, tmp_path, crf):
    assert watermark.detect(recoded(pair[1], tmp_path, crf), KEY).payload == ID


def test_lines_that_lie_still_do_not_drown_the_mark(tmp_path):
    found = watermark.detect(recoded(watermark.embed(grid(), ID, KEY), tmp_path, 28), KEY)
    assert found.payload == ID
    assert found.score > 12  # 10.5 when lines are not left out of what is smooth


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
        (lambda f: f[:, ::-1, ::-1], "turned by 180.0 degrees"),
        (lambda f: np.rot90(f, axes=(1, 2)), "turned by 90.0 degrees"),
    ],
)
def test_mirrored_and_turned_clips_are_read(turn, name):
    marked = watermark.embed(ball(frames=3), ID, KEY)
    found = watermark.detect(np.ascontiguousarray(turn(marked)), KEY)
    assert found.payload == ID
    assert found.geometry == name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f[:, 10:202, 50:242], "cropped or enlarged to 75%"),
        (lambda f: np.pad(f, ((0, 0), (20, 20), (0, 0), (0, 0)), constant_values=160), "with a border"),
        (lambda f: f[:, :, :224], "cropped or enlarged"),
    ],
)
def test_a_search_reads_cropped_and_padded_clips(change, words, tmp_path):
    changed = recoded(change(watermark.embed(sunset(frames=9), ID, KEY)), tmp_path, 23)
    assert watermark.detect(changed, KEY).payload is None
    found = watermark.search(changed, KEY)
    assert found.payload == ID
    assert words in found.geometry
    assert found.false_accept < 1e-8


@pytest.mark.slow
def test_a_search_reads_a_clip_filmed_at_a_slant(tmp_path):
    marked = watermark.embed(sunset(frames=9), ID, KEY)
    slant = Geometry(np.array([[1.0, 0.05, 4], [-0.05, 1.0, -3], [2e-4, -1e-4, 1]]))
    filmed = warped(marked, slant, (256, 256))
    found = watermark.search(recoded(filmed, tmp_path, 23), KEY)
    assert found.payload == ID
    assert "turned by" in found.geometry


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIED)
def test_a_search_finds_nothing_in_an_unmarked_clip(name):
    found = watermark.search(VARIED[name](), KEY)
    assert found.payload is None
    assert not found.present


@pytest.mark.parametrize(("start", "stop"), [(0, 16), (16, 32), (8, 24)])
def test_it_says_where_in_time_the_mark_lies(start, stop):
    clip = texture(frames=32)
    clip[start:stop] = watermark.embed(clip[start:stop], ID, KEY)
    found = watermark.detect(clip, KEY)
    assert found.payload == ID
    [(first, last)] = found.spans
    assert abs(first - start) <= 2
    assert abs(last - stop) <= 2


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


def test_the_average_of_many_marks_has_no_id():
    # Ids differ, and so do the salts and signs that follow from them: what is left cannot be pasted onto other footage.
    frames = ball(frames=1)
    ids = [i * 0x9E3779B1 % 2**32 for i in range(100)]
    rest = np.mean([watermark.embed(frames, id_, KEY).astype(float) for id_ in ids], axis=0) - frames
    forged = np.clip(texture(frames=1) + rest, 0, 255).round().astype(np.uint8)
    assert watermark.detect(forged, KEY).payload is None
    payloads = np.stack([carriers.payload_amplitudes(id_, KEY) for id_ in ids])
    assert np.abs(payloads.mean(axis=0)).mean() < 0.2  # of 1.41 for one id


@pytest.mark.parametrize("name", VARIED)
def test_wrong_keys_follow_the_null_law(name):
    clip = VARIED[name](frames=2)
    drawn = [watermark.wrong_key_energies(clip, bytes([i])) for i in range(4)]
    energies = np.concatenate([energy for energy, _, _ in drawn])
    _, mean, variance = drawn[0]
    assert np.mean(energies) == pytest.approx(mean, rel=0.02)
    assert np.var(energies) == pytest.approx(variance, rel=0.25)
    assert energies.max() < watermark._DECODE_FROM + 40


@pytest.mark.parametrize("payload", [-1, 2**32])
def test_an_id_out_of_range_is_an_error(payload):
    with pytest.raises(RequestError, match="2\\^32"):
        watermark.embed(ball(frames=1), payload, KEY)


@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (1, 63, 64, 3), (64, 64, 3), (1, 64, 64, 4)])
def test_frames_of_a_wrong_shape_are_an_error(shape):
    with pytest.raises(RequestError, match="at least 64 x 64"):
        watermark.embed(np.zeros(shape, np.uint8), 1, KEY)
    for look in (watermark.detect, watermark.search):
        with pytest.raises(RequestError, match="at least 64 x 64"):
            look(np.zeros(shape, np.uint8), KEY)


def test_a_black_clip_neither_breaks_nor_is_recognised():
    assert watermark.detect(np.zeros((2, 64, 64, 3), np.uint8), KEY).payload is None
