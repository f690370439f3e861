import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_clips import ball, sunset, texture

from kinemark.provenance.marks import carriers
from kinemark.provenance.marks.geometry import _rotation
from kinemark.provenance.marks.spectrum import KEPT, OVERSAMPLING, canonical_size, planes, sample, whiten


@given(st.integers(64, 4096), st.integers(64, 4096))
def test_the_canonical_plane_keeps_area_and_aspect(height, width):
    rows, columns = canonical_size(height, width)
    assert rows * columns == pytest.approx(256 * 256, rel=0.01)
    if 1 / 3 < width / height < 3:
        assert columns / rows == pytest.approx(width / height, rel=0.01)
    assert canonical_size(width, height) == (columns, rows)


def test_parts_add_up_to_the_whole():
    clip = texture(frames=20)
    parts, whole = planes(clip, 16).residual_Phw, planes(clip, 1).residual_Phw
    assert parts.shape == (16, 256, 256)
    assert np.allclose(parts.sum(axis=0), whole[0], atol=1e-3)
    assert len(planes(clip[:3], 16).residual_Phw) == 3


def test_brightness_and_contrast_leave_the_residual_alone():
    clip = texture(frames=2)
    dimmed = (clip * 0.7 + 30).round().astype(np.uint8)
    one, other = planes(clip, 1).residual_Phw.ravel(), planes(dimmed, 1).residual_Phw.ravel()
    assert np.corrcoef(one, other)[0, 1] > 0.95


def test_size_does_not_matter():
    small, large = (
        planes(sunset(2), 1).residual_Phw,
        planes(np.repeat(np.repeat(sunset(2), 2, axis=1), 2, axis=2), 1).residual_Phw,
    )
    assert small.shape == large.shape
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.99


def wave_picture(y, x, rows, columns, phase=0.0):
    row, column = np.arange(rows) + 0.5 - rows / 2, np.arange(columns) + 0.5 - columns / 2
    turn = 2 * np.pi / 256 * (y * row[:, None] + x * column[None, :]) + phase
    return np.cos(turn).astype(np.float32)


@given(st.integers(14, 40), st.integers(-40, 40), st.floats(0, 6.28))
def test_a_wave_is_where_it_should_be_with_its_phase(y, x, phase):
    spectrum = whiten(wave_picture(y, x, 256, 256, phase))
    value = spectrum[KEPT // 2 + y * OVERSAMPLING, KEPT // 2 + x * OVERSAMPLING]
    assert np.abs(value) > 1.5
    assert np.cos(np.angle(value) - phase) > 0.99


def test_sampling_is_exact_at_whole_waves_and_follows_a_turn():
    waves = carriers.Waves(np.array([20]), np.array([-17]))
    still = whiten(wave_picture(20, -17, 256, 256, 1.0))
    exact = sample(still, waves, np.eye(2)[None])[0, 0]
    assert exact == still[KEPT // 2 + 20 * OVERSAMPLING, KEPT // 2 - 17 * OVERSAMPLING]
    turn = _rotation(0.05)
    y, x = turn.T @ [20, -17]
    turned = sample(whiten(wave_picture(y, x, 256, 256, 1.0)), waves, turn[None])[0, 0]
    assert np.cos(np.angle(turned) - 1.0) > 0.99


def test_whitening_makes_every_part_of_the_band_alike():
    size = np.abs(whiten(planes(ball(frames=3), 1).residual_Phw[0]))
    middle = KEPT // 2
    rings = [size[middle + r * OVERSAMPLING, middle - 80 : middle + 80].mean() for r in (14, 24, 34)]
    assert max(rings) / min(rings) < 1.5


def test_a_flat_picture_gives_no_energy():
    assert np.isfinite(whiten(planes(np.full((2, 64, 64, 3), 128, np.uint8), 1).residual_Phw[0])).all()
