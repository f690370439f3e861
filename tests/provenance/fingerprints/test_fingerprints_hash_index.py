import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.provenance.fingerprints.fingerprint import distances
from kinemark.provenance.fingerprints.hash_index import RADIUS, HashIndex, nearest_of


@pytest.fixture(scope="module")
def many():
    """Hashes in clumps, so that questions have many answers."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 256, (40, 32), np.uint8)
    flips = np.packbits(rng.random((4000, 256)) < 0.06, axis=1)
    return centres[rng.integers(40, size=4000)] ^ flips


@pytest.fixture(scope="module")
def index(many):
    return HashIndex.build(many, np.arange(len(many)) * 10)


@settings(max_examples=60, deadline=None)
@given(row=st.integers(0, 3999), bits=st.sets(st.integers(0, 255), max_size=40), radius=st.integers(0, RADIUS))
def test_it_finds_exactly_what_a_look_at_each_finds(many, index, row, bits, radius):
    flips = np.zeros(256, np.uint8)
    flips[list(bits)] = 1
    query = (many[row] ^ np.packbits(flips)).tobytes()
    each = distances(query, many)
    expected = sorted((int(each[i]), int(i) * 10) for i in np.flatnonzero(each <= radius))
    assert index.near(query, radius) == expected
    beside = [(bit, owner * 10) for bit, owner in nearest_of(query, [(i, one.tobytes()) for i, one in enumerate(many)])]
    assert sorted(pair for pair in beside if pair[0] <= radius) == expected


def test_what_is_saved_reads_the_same(many, index, tmp_path):
    index.save(tmp_path)
    loaded = HashIndex.load(tmp_path)
    assert len(loaded) == len(many)
    assert loaded.near(many[7].tobytes()) == index.near(many[7].tobytes())


def test_a_radius_beyond_what_is_exact_is_an_error(index):
    with pytest.raises(ValueError, match="exact up to 31"):
        index.near(bytes(32), 32)


def test_files_that_do_not_fit_together_are_an_error(index, many, tmp_path):
    index.save(tmp_path)
    np.save(tmp_path / "owners.npy", np.arange(3))
    with pytest.raises(ValueError, match="fit together"):
        HashIndex.load(tmp_path)
    (tmp_path / "order.npy").unlink()
    with pytest.raises(OSError, match="order"):
        HashIndex.load(tmp_path)


def test_an_empty_index_and_an_empty_list_find_nothing():
    empty = HashIndex.build(np.zeros((0, 32), np.uint8), np.zeros(0, np.int64))
    assert empty.near(bytes(32)) == nearest_of(bytes(32), []) == []
