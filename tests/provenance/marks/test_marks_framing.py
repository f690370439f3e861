import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_clips import FPS, ball, sunset, texture, warped

from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.provenance.marks import framing, watermark
from kinemark.provenance.marks.geometry import Geometry, homography
from kinemark.provenance.marks.spectrum import planes

KEY = bytes(range(32))
CORNERS = np.array([[-128.0, -128], [128, -128], [128, 128], [-128, 128]])


def filmed(frames, at_42):
    """The frames as they fill the four corners [4, 2] of a dark shot."""
    return warped(frames, Geometry(np.linalg.inv(homography(at_42, CORNERS))), frames.shape[1:3])


def mean_luma(frames):
    return planes(frames, 1).luma_hw


def seen_at(*insets):
    return CORNERS - np.sign(CORNERS) * np.reshape(insets, (4, 2))


@given(st.tuples(*[st.floats(3, 22)] * 8))
def test_the_corners_of_a_filmed_picture_are_found(insets):
    at_42 = seen_at(*insets)
    found = framing.corners(mean_luma(filmed(sunset(1), at_42)))
    assert found is not None
    assert np.abs(found - at_42).max() < 2


def test_placements_put_the_corners_back_at_the_frames_aspect_and_at_the_pictures_own():
    at_42 = seen_at(8, 20, 12, 22, 11, 24, 7, 21)
    placements = framing.placements(mean_luma(filmed(ball(1), at_42)))
    for placement, ratio in zip(placements, (1.0, 0.9), strict=True):
        x, y = placement.original(*at_42.T)
        assert np.ptp(y) / np.ptp(x) == pytest.approx(ratio, abs=0.04)
        assert np.abs(x).max() == pytest.approx(128 / np.sqrt(ratio), abs=4)


@pytest.mark.parametrize("make", [ball, sunset, texture])
def test_a_picture_that_fills_its_frame_has_none(make):
    assert framing.placements(mean_luma(make(frames=4))) == ()


def test_a_dark_scene_and_a_black_one_have_none():
    rng = np.random.default_rng(0)
    assert framing.placements(mean_luma(np.zeros((2, 90, 160, 3), np.uint8))) == ()
    spots = (rng.random((2, 160, 160, 3)) > 0.98).astype(np.uint8) * 200
    assert framing.placements(mean_luma(spots)) == ()


def test_bars_of_a_light_grey_are_no_dark_frame():
    frames = np.full((2, 128, 128, 3), 160, np.uint8)
    frames[:, 16:-16] = sunset(2, 96, 128)
    assert framing.corners(mean_luma(frames)) is None


def test_a_letterbox_is_read_at_a_quick_look(tmp_path):
    boxed = np.zeros((13, 256, 256, 3), np.uint8)
    boxed[:, 38:-38] = watermark.embed(sunset(13, 180, 256), 7, KEY)
    encode_mp4(boxed, FPS, tmp_path / "boxed.mp4", crf=20)
    found = watermark.detect(read_video(tmp_path / "boxed.mp4").frames_THWC, KEY)
    assert found.payload == 7
    assert "border" in found.geometry


def test_the_mark_on_a_filmed_screen_is_present_at_a_quick_look(tmp_path):
    shot = filmed(watermark.embed(ball(13), 7, KEY), seen_at(8, 10, 12, 9, 11, 14, 7, 6))
    encode_mp4(shot, FPS, tmp_path / "shot.mp4", crf=24)
    found = watermark.detect(read_video(tmp_path / "shot.mp4").frames_THWC, None)
    assert found.present
    assert "slant" in found.geometry
