import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.provenance.grid import (
    Sampler,
    area_matrix,
    blurred,
    dct_matrix,
    gaussian_matrix,
    linear_matrix,
    radius,
    resampled,
    spread,
)


@pytest.mark.parametrize(("cells", "length"), [(64, 256), (64, 100), (32, 720), (4, 3), (256, 160)])
def test_area_means_keep_a_constant_and_the_mean(cells, length):
    matrix = area_matrix(cells, length)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-4)
    signal = np.random.default_rng(0).random(length, np.float32)
    assert (matrix @ signal).mean() == pytest.approx(signal.mean(), abs=1e-4)


def test_area_means_of_whole_cells():
    np.testing.assert_allclose(area_matrix(2, 4) @ np.array([1, 3, 5, 9], np.float32), [2, 7])


@pytest.mark.parametrize("matrix", [linear_matrix(100, 64), linear_matrix(720, 64), gaussian_matrix(64, 2.0)])
def test_rows_sum_to_one(matrix):
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


@given(st.floats(0.5, 3), st.integers(12, 40), st.integers(12, 40))
def test_a_narrow_blur_is_the_matrix_away_from_the_border(sigma, height, width):
    reach = round(3 * sigma)
    plane = np.zeros((height + 2 * reach, width + 2 * reach), np.float32)
    plane[reach:-reach, reach:-reach] = np.random.default_rng(0).random((height, width), np.float32)
    wide = np.pad(plane, reach)
    rows, columns = (gaussian_matrix(length, sigma) for length in wide.shape)
    expected = (rows @ wide @ columns.T)[reach:-reach, reach:-reach]
    np.testing.assert_allclose(blurred(plane, sigma), expected, atol=0.02)
    assert blurred(plane, sigma).sum() == pytest.approx(plane.sum(), rel=1e-4)


def test_linear_matrix_reproduces_a_ramp_inside():
    ramp = linear_matrix(128, 64) @ np.arange(64, dtype=np.float32)
    np.testing.assert_allclose(np.diff(ramp)[2:-2], 0.5, atol=1e-5)


def test_dct_is_orthonormal():
    basis = dct_matrix(32, 32)
    np.testing.assert_allclose(basis @ basis.T, np.eye(32), atol=1e-12)


def test_radius_counts_from_the_constant():
    assert radius(8)[0, 0] == 0
    assert radius(8)[3, 4] == 5


@given(st.floats(-3, 300), st.floats(-3, 300))
def test_sampling_stays_within_the_picture(x, y):
    picture = np.arange(64, dtype=np.float32).reshape(8, 8)
    value = Sampler((8, 8), np.array([[x]]), np.array([[y]]))(picture)[0, 0]
    assert 0 <= value <= 63
    if abs(x) > 4 or abs(y) > 4:
        assert value == 0


def test_sampling_is_exact_on_a_ramp():
    ramp = np.tile(np.arange(16, dtype=np.float32), (16, 1))
    at = np.array([[-3.3, 0.0, 2.7]])
    assert np.allclose(Sampler((16, 16), at, np.zeros_like(at))(ramp), at + 7.5, atol=1e-5)


@pytest.mark.parametrize("size", [(4, 6), (16, 24), (8, 24), (8, 12)])
def test_resampling_keeps_the_mean_of_a_plane(size):
    plane = np.random.default_rng(0).random((8, 12)).astype(np.float32)
    resized = resampled(plane, *size)
    assert resized.shape == size
    assert resized.mean() == pytest.approx(plane.mean(), abs=0.03)


@given(st.integers(-50, 50), st.integers(1, 200), st.integers(1, 40))
def test_spread_is_even_and_holds_both_ends(start, length, most):
    chosen = spread(start, start + length, most)
    assert len(chosen) == min(length, most)
    assert chosen[0] == start
    assert chosen[-1] == (start + length - 1 if len(chosen) > 1 else start)
    assert len(chosen) < 3 or np.ptp(np.diff(chosen)) <= 1
