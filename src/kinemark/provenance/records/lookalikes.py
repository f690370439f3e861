"""Which release a clip looks like: the whole of it, a part of it, or its mirror image.

A ledger of many entries has an index beside it, made again by releases when it has fallen behind; a question looks
there and at the entries since. The index is only a short cut: what it finds is compared with the ledger's own
fingerprint.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kinemark.provenance.fingerprints.fingerprint import HASH, distances
from kinemark.provenance.fingerprints.hash_index import RADIUS, HashIndex, nearest_of

if TYPE_CHECKING:
    from kinemark.provenance.fingerprints.fingerprint import Fingerprint
    from kinemark.provenance.records.ledger import Entry, Ledger

BEHIND: Final = 20_000
"""Releases that an index may lack before it is made again; looking at so many takes about 10 ms."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A release, in how many of 256 bits it differs, and whether only a part of it or its mirror image is alike."""

    entry: Entry
    bits: int
    part: bool
    mirrored: bool


def lookalike(seen: Fingerprint, ledger: Ledger, folder: Path) -> Lookalike | None:
    """The release that looks most like a clip, within 31 bits; None if there is none.

    Args:
        seen: of the clip.
        ledger: where to look.
        folder: where the index lies, if there is one.
    """
    index, last = _load(folder)
    since = _entered(ledger, last)
    best: Lookalike | None = None
    for query, mirrored in ((seen.clip, False), (seen.mirrored, True)):
        found = [*nearest_of(query, since), *(index.near(query) if index else [])]
        near = [(bits, seq) for bits, seq in found if bits <= RADIUS]
        entry = ledger.at(min(near)[1]) if near else None
        if entry is None:
            continue
        bits = distances(query, np.frombuffer(entry.fingerprint, np.uint8).reshape(-1, HASH))
        least = int(bits.min())
        if least <= RADIUS and (best is None or least < best.bits):
            best = Lookalike(entry, least, bool(bits[0] > least), mirrored)
    return best


def refresh(ledger: Ledger, folder: Path) -> None:
    """Make the index again if it lacks many releases; whoever looks meanwhile sees the old one.

    Where it cannot be written there is none, and looking takes longer: no reason to fail a release for.
    """
    _, last = _load(folder)
    if len(ledger) - last < BEHIND:
        return
    entries = _entered(ledger, 0)
    owners = np.repeat([seq for seq, _ in entries], [len(blob) // HASH for _, blob in entries])
    hashes = np.frombuffer(b"".join(blob for _, blob in entries), np.uint8).reshape(-1, HASH)
    draft: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
        HashIndex.build(hashes, owners).save(draft)
        draft.rename(folder / f"{entries[-1][0]:012d}")
        for old in sorted(folder.glob("[0-9]*"))[:-1]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return  # looking at each entry gives the same answers
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _entered(ledger: Ledger, after: int) -> list[tuple[int, bytes]]:
    """Position and clip hashes of every release after a position that has some."""
    return [(seq, blob) for seq, blob in ledger.fingerprints(after) if blob and len(blob) % HASH == 0]


def _load(folder: Path) -> tuple[HashIndex | None, int]:
    """The newest index that can be used, and the last entry that it knows."""
    for path in sorted(folder.glob("[0-9]*"), reverse=True):
        try:
            return HashIndex.load(path), int(path.name)
        except (OSError, ValueError):
            continue  # damaged, or another process is replacing it
    return None, 0
