"""The Merkle tree over a ledger's entries (RFC 6962, section 2.1): one digest that stands for a whole history."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def root(leaves: Sequence[bytes]) -> bytes:
    """The tree's head over leaves in order: SHA-256 over (1, left, right), leaves as SHA-256 over (0, leaf)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = [_leaf(leaf) for leaf in leaves]
    while len(level) > 1:
        # Pairing from the left and carrying an odd last node up gives the same tree as RFC 6962's split at the largest
        # power of two.
        paired = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes that lead from one leaf to the root (RFC 6962, section 2.1.1), the lowest first.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root(leaves[:split])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], head: bytes) -> bool:
    """Whether a proof leads from a leaf at `index` of a tree of `size` leaves to its head."""
    return 0 <= index < size and _climb(leaf, index, size, list(proof)) == head


def _climb(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    if size == 1:
        return _leaf(leaf) if not proof else None
    if not proof:
        return None
    split, beside = _split(size), proof[-1]
    if index < split:
        below = _climb(leaf, index, split, proof[:-1])
        return _node(below, beside) if below else None
    below = _climb(leaf, index - split, size - split, proof[:-1])
    return _node(beside, below) if below else None


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
