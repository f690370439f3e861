import numpy as np
import pytest
from provenance_clips import VARIED, ball, sunset, texture

from kinemark import trace
from kinemark.data.transcode import H264
from kinemark.provenance.marks import model_trace, watermark
from kinemark.provenance.robustness.pixels import Clip
from kinemark.provenance.robustness.sequences import encoded

STRENGTH = 1.0


def painted(frames, strength=STRENGTH):
    """Frames with the pattern, as a decoder that learnt it would paint them."""
    height, width = frames.shape[1:3]
    copies = -(-height // trace.SIDE), -(-width // trace.SIDE)
    pattern = np.tile(trace.tile(), copies)[:height, :width]
    return (frames + strength * pattern[..., None]).round().clip(0, 255).astype(np.uint8)


def compressed(frames, crf=26):
    return encoded(H264, crf, crf)(Clip(frames, 8.0), np.random.default_rng(0)).frames


def test_the_pattern_is_the_published_one():
    assert trace.tile().shape == (32, 32)
    assert abs(float(trace.tile().mean())) < 1e-6
    assert trace.tile()[0, :4].round(4).tolist() == pytest.approx([-1.0123, -0.1766, 0.6558, 1.126], abs=2e-4)


@pytest.mark.parametrize("make", [ball, sunset])
def test_it_is_seen_where_it_was_painted(make):
    assert model_trace.find(compressed(painted(make(frames=16)))).present


@pytest.mark.parametrize("name", VARIED)
def test_it_is_not_seen_elsewhere(name):
    assert not model_trace.find(compressed(VARIED[name](frames=16))).present


@pytest.mark.parametrize(
    "change",
    [
        lambda frames: frames[:, 37:, 21:],
        lambda frames: frames[:, :, ::-1],
        lambda frames: np.rot90(frames, axes=(1, 2)),
        lambda frames: frames[:, :200, :220],
        lambda frames: frames.repeat(2, axis=1).repeat(2, axis=2),
    ],
    ids=["shifted", "mirrored", "turned", "cropped", "enlarged"],
)
def test_it_is_seen_in_copies(change):
    assert model_trace.find(np.ascontiguousarray(change(painted(sunset(frames=8))))).present


def test_its_size_is_told():
    assert model_trace.find(painted(texture(frames=4))).scale == pytest.approx(1, rel=0.02)


def test_the_releases_own_marks_are_not_taken_for_it():
    marked = watermark.embed(ball(frames=8), 5, b"a key of thirty-two bytes, no less")
    assert not model_trace.find(marked).present


def test_flat_pictures_have_no_trace():
    assert not model_trace.find(np.full((2, 64, 64, 3), 128, np.uint8)).present
