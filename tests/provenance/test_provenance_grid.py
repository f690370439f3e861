import numpy as np
import pytest

from kinemark.provenance.grid import area_matrix, dct_matrix, gaussian_matrix, linear_matrix, radius


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


def test_linear_matrix_reproduces_a_ramp_inside():
    ramp = linear_matrix(128, 64) @ np.arange(64, dtype=np.float32)
    np.testing.assert_allclose(np.diff(ramp)[2:-2], 0.5, atol=1e-5)


def test_dct_is_orthonormal():
    basis = dct_matrix(32, 32)
    np.testing.assert_allclose(basis @ basis.T, np.eye(32), atol=1e-12)


def test_radius_counts_from_the_constant():
    assert radius(8)[0, 0] == 0
    assert radius(8)[3, 4] == 5
