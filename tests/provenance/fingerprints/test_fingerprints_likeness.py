import numpy as np
import pytest
from provenance_clips import VARIED, ball, sunset, texture, warped

from kinemark.data.transcode import H264, transcode
from kinemark.provenance.fingerprints.likeness import CONFIRMED, CONTRADICTED, MAX_FRAMES, agreement, describe
from kinemark.provenance.marks.geometry import Geometry

SIZE = (256, 256)


@pytest.mark.parametrize("name", VARIED)
def test_a_clip_is_like_itself_through_codec_and_tone(name):
    clip = VARIED[name]()
    stored = describe(clip)
    toned = (transcode(clip, 8, H264, 30) * 0.7 + 40).round().astype(np.uint8)
    assert np.median(agreement(clip, stored, SIZE)) > 0.95
    assert np.median(agreement(toned, stored, SIZE)) >= CONFIRMED


def test_other_footage_is_not():
    stored = describe(ball())
    for other in (sunset(), texture(), np.ascontiguousarray(ball()[:, ::-1])):
        assert np.median(agreement(other, stored, SIZE)) <= CONTRADICTED


def test_a_crop_is_compared_where_it_belongs():
    clip = sunset()
    stored = describe(clip)
    crop = Geometry(np.array([[0.8, 0, 10.0], [0, 0.8, -8.0], [0, 0, 1.0]]))
    seen = warped(clip, Geometry(np.linalg.inv(crop.matrix)), SIZE)
    assert np.median(agreement(seen, stored, SIZE, crop)) >= CONFIRMED
    assert np.median(agreement(seen, stored, SIZE)) < np.median(agreement(seen, stored, SIZE, crop))


def test_where_too_little_is_seen_nothing_is_said():
    far = Geometry(np.array([[0.2, 0, 0], [0, 0.2, 0], [0, 0, 1.0]]))
    assert np.isnan(agreement(ball(frames=2), describe(ball(frames=2)), SIZE, far)).all()


@pytest.mark.parametrize("count", [1, 7, 40])
def test_the_description_is_small(count):
    assert len(describe(np.repeat(ball(frames=1), count, axis=0))) == 72 * min(count, MAX_FRAMES)


def test_black_footage_agrees_with_nothing_and_breaks_nothing():
    black = np.zeros((2, 64, 64, 3), np.uint8)
    assert agreement(black, describe(ball()), SIZE) == pytest.approx(0.5)
