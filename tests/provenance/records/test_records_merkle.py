import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.provenance.records import merkle

LEAVES = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=40)
#: Test vectors of Certificate Transparency's reference implementation (RFC 6962).
VECTORS = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    bytes(range(0x50, 0x58)),
    bytes(range(0x60, 0x70)),
]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", ROOTS)
def test_published_roots(size):
    assert merkle.root(VECTORS[:size]).hex() == ROOTS[size]


def test_the_root_of_nothing():
    assert merkle.root([]) == hashlib.sha256(b"").digest()


def naive(leaves):
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = max(2**k for k in range(10) if 2**k < len(leaves))
    return hashlib.sha256(b"\1" + naive(leaves[:split]) + naive(leaves[split:])).digest()


@given(LEAVES)
def test_it_is_the_tree_of_the_definition(leaves):
    assert merkle.root(leaves) == naive(leaves)


@given(LEAVES, st.data())
def test_proofs_lead_to_the_root_and_nothing_else_does(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, head = merkle.inclusion_proof(leaves, index), merkle.root(leaves)
    assert merkle.verify_inclusion(leaves[index], index, len(leaves), proof, head)
    assert not merkle.verify_inclusion(leaves[index] + b"x", index, len(leaves), proof, head)
    assert not merkle.verify_inclusion(leaves[index], index, len(leaves), [*proof, head], head)
    if proof:
        assert not merkle.verify_inclusion(leaves[index], index, len(leaves), proof[:-1], head)


def test_there_is_no_leaf_beyond_the_end():
    with pytest.raises(IndexError):
        merkle.inclusion_proof([b"a"], 1)
