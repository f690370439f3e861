import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_clips import ball, sunset

from kinemark.provenance.grid import LUMA
from kinemark.provenance.marks import carriers, geometry, watermark
from kinemark.provenance.marks.geometry import Geometry
from kinemark.provenance.marks.spectrum import picture, planes, whiten

KEY = bytes(32)
SLANTED = Geometry(np.array([[0.98, 0.06, 5.0], [-0.04, 1.02, -3.0], [1e-4, -2e-4, 1.0]]))
small = st.floats(-0.2, 0.2)
place = st.floats(-100, 100)


@given(small, small, small, small, place, place, place, place)
def test_seen_and_original_undo_each_other(a, b, c, d, move_x, move_y, x, y):
    there = Geometry(np.array([[1 + a, b, move_x], [c, 1 + d, move_y], [1e-4, -1e-4, 1]]))
    back = there.seen(*there.original(np.array([x]), np.array([y])))
    assert np.allclose(back, [[x], [y]], atol=1e-6)


def test_affine_takes_rows_first():
    moved = Geometry.affine(np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([10.0, 20.0]))
    x, y = moved.original(np.array([1.0]), np.array([1.0]))
    assert (x[0], y[0]) == (23, 12)


def test_homography_takes_corners_to_corners():
    source = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    target = source + np.array([[0.1, 0], [0, 0.2], [-0.1, 0.1], [0, 0]])
    matrix = geometry.homography(source, target)
    mapped = np.c_[source, np.ones(4)] @ matrix.T
    assert np.allclose(mapped[:, :2] / mapped[:, 2:], target)


@pytest.mark.parametrize(
    ("geometry_", "words"),
    [
        (geometry.IDENTITY, "unchanged"),
        (Geometry(np.diag([-1.0, 1, 1])), "mirrored"),
        (Geometry(np.diag([0.8, 0.8, 1])), "cropped or enlarged to 80% of its side"),
        (Geometry(np.diag([1.2, 1.2, 1])), "with a border: the side grew to 120%"),
        (Geometry(np.array([[1.0, 0, 8], [0, 1, 0], [0, 0, 1]])), "moved"),
        (Geometry(np.array([[1.0, 0, 0], [0, 1, 0], [1e-4, 0, 1]])), "seen at a slant"),
    ],
)
def test_words(geometry_, words):
    assert geometry_.words == words


def test_orientations_are_eight_and_different():
    matrices = {tuple(g.matrix.round(6).ravel()) for g in geometry.orientations()}
    assert len(matrices) == 8
    assert tuple(np.eye(3).ravel()) in matrices


def test_undo_is_the_inverse_of_looking_from_there():
    frames = sunset(frames=1)
    back = Geometry(np.linalg.inv(SLANTED.matrix))
    luma = frames @ LUMA
    seen, _ = geometry.undo(luma, back, (256, 256))
    straight, inside = geometry.undo(seen, SLANTED, (256, 256))
    inside[:12], inside[-12:], inside[:, :12], inside[:, -12:] = False, False, False, False
    difference = np.abs(straight[0] - luma[0])[inside]
    assert np.median(difference) < 2
    assert inside.mean() > 0.7


def test_undo_of_nothing_changes_nothing():
    frames = ball(frames=2)
    straight, inside = geometry.undo(frames @ LUMA, geometry.IDENTITY, (256, 256))
    assert np.allclose(straight, frames @ LUMA, atol=1e-3)
    assert inside.all()


def test_the_pilot_scores_high_on_a_marked_clip_only():
    frames = sunset(frames=3)
    for clip, low, high in ((watermark.embed(frames, 5, KEY), 8, 99), (frames, -5, 5)):
        spectrum = whiten(planes(clip, 1).residual_Phw[0])
        assert low < geometry.pilot_score(geometry.read(spectrum, geometry.IDENTITY, carriers.pilot_waves())) < high


def test_both_ways_of_reading_agree():
    residual = planes(watermark.embed(sunset(frames=3), 5, KEY), 1).residual_Phw[0]
    spectrum = whiten(residual)
    whitened = picture(spectrum, residual.shape)
    moved = Geometry(np.array([[0.99, 0.02, 3.0], [-0.02, 0.99, 1.0], [0, 0, 1.0]]))
    for g, least in ((geometry.IDENTITY, 0.97), (moved, 0.8)):
        one = geometry.read(spectrum, g, carriers.payload_waves())
        other = geometry.read_slanted(whitened, g, carriers.payload_waves())
        likeness = np.abs(np.vdot(one, other)) / np.sqrt(np.vdot(one, one).real * np.vdot(other, other).real)
        assert likeness > least


def test_refining_climbs_back_to_the_truth():
    residual = planes(watermark.embed(sunset(frames=5), 5, KEY), 1).residual_Phw[0]
    spectrum = whiten(residual)
    start = Geometry(np.array([[1.006, 0.005, 0.9], [-0.005, 1.0, -0.8], [0, 0, 1.0]]))
    before = geometry.pilot_score(geometry.read(spectrum, start, carriers.pilot_waves()))
    after, found = geometry.refine(spectrum, start)
    assert after > before + 1
    assert np.abs(found.matrix - np.eye(3)).max() < 0.5
    assert np.abs(found.matrix[:2, :2] - np.eye(2)).max() < 0.004
    slanted, _ = geometry.refine_slanted(picture(spectrum, residual.shape), start)
    assert slanted > before + 1
