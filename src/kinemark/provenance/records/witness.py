"""A witness of a ledger: another process with a key of its own that remembers what the history was.

A chain alone cannot show that its newest entries were cut off, or that somebody rewrote all of it. A witness keeps, in
a folder that the ledger's owner cannot write, the heads that it has seen: how many entries there were, their Merkle
root, when, and its signature. Each time it looks, the entries of every head must still give that head's root.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark.errors import FailureError
from kinemark.provenance.records import merkle
from kinemark.provenance.signing.keys import private_pem, read_private_key, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEY: Final = "witness-key.pem"
_HEADS: Final = "heads.jsonl"


@dataclass(frozen=True, slots=True)
class Head:
    """A history as it was seen: number of entries, Merkle root and signature (hexadecimal), time (RFC 3339)."""

    size: int
    root: str
    time: str
    signature: str

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return f"kinemark ledger head 1\n{self.size}\n{self.root}\n{self.time}\n".encode()

    @classmethod
    def of(cls, leaves: Sequence[bytes], key: ec.EllipticCurvePrivateKey, time: str) -> Head:
        """The head of a history, signed."""
        unsigned = cls(len(leaves), merkle.root(leaves).hex(), time, "")
        return replace(unsigned, signature=key.sign(unsigned.signed, ec.ECDSA(hashes.SHA256())).hex())

    def verify(self, key: ec.EllipticCurvePublicKey) -> None:
        """Check the signature.

        Raises:
            InvalidSignature, ValueError: it does not fit, or is no signature.
        """
        key.verify(bytes.fromhex(self.signature), self.signed, ec.ECDSA(hashes.SHA256()))


def watch(leaves: Sequence[bytes], folder: Path, now: dt.datetime | None = None) -> Head:
    """Check a ledger's history against every head seen so far, and remember the new one.

    Args:
        leaves: the digests of all entries, in order.
        folder: where the witness keeps its key and heads; made on first use.
        now: the time of the new head.

    Raises:
        FailureError: the history is not the one that was seen (nothing is remembered then), or the folder is damaged.
    """
    problems = check(leaves, folder)
    if problems:
        raise FailureError(f"the ledger's history was changed: {problems[0]}. Nothing was witnessed.")
    head = Head.of(leaves, _key(folder), (now or dt.datetime.now(dt.UTC)).isoformat())
    line = json.dumps(asdict(head))
    with (folder / _HEADS).open("a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    return head


def check(leaves: Sequence[bytes], folder: Path) -> list[str]:
    """What of a history does not fit what the witness saw, in words; empty if all fits.

    Raises:
        FailureError: the witness's own folder is damaged.
    """
    heads = read_heads(folder)
    if not heads:
        return []
    key = _key(folder).public_key()
    problems = []
    for head in heads:
        try:
            head.verify(key)
        except (InvalidSignature, ValueError) as error:
            raise FailureError(
                f"a head of {head.time} in {folder} does not carry the witness's signature; restore the folder"
            ) from error
        if len(leaves) < head.size:
            problems.append(f"on {head.time} it had {head.size} entries, now {len(leaves)}: the newest were cut off")
        elif merkle.root(leaves[: head.size]).hex() != head.root:
            problems.append(f"the first {head.size} entries are not those that were seen on {head.time}")
    return problems


def read_heads(folder: Path) -> list[Head]:
    """The heads that a witness has seen, in order; none where it has not looked yet.

    Raises:
        FailureError: a line cannot be read.
    """
    path = folder / _HEADS
    if not path.is_file():
        return []
    try:
        return [Head(**json.loads(line)) for line in path.read_text().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise FailureError(
            f"the witness's heads in {path} are damaged ({error}); restore them from a backup"
        ) from error


def _key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """The witness's own key, made on first use."""
    path = folder / _KEY
    try:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, private_pem(ec.generate_private_key(ec.SECP256R1())))
        return read_private_key(path)
    except (OSError, ValueError, TypeError) as error:
        raise FailureError(f"cannot use the witness's key {path}: {error}; check the folder") from error
