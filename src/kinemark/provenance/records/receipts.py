"""Receipts: a proof that a manifest was entered, which anybody can check without the ledger (RFC 6962 inclusion)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark.errors import RequestError
from kinemark.provenance.records import merkle
from kinemark.provenance.records.witness import Head
from kinemark.provenance.signing.certificates import read_chain, to_pem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.provenance.records.ledger import Entry
    from kinemark.provenance.signing.keys import Keys

CONTEXT: Final = {"c2pa": "https://c2pa.org/ns/", "receipt": "https://c2pa.org/ns/manifest-receipt#"}
TYPE: Final = "org.c2pa.manifest-receipt"


def receipt(entry: Entry, leaves: Sequence[bytes], keys: Keys, uri: str) -> dict[str, Any]:
    """A `c2pa.manifestReceipt` for a release.

    Args:
        entry: the release; it is leaf `entry.seq - 1`.
        leaves: the digests of all entries.
        keys: sign the head of the tree.
        uri: address of the repository.
    """
    head = Head.of(leaves, keys.signer_key, _now())
    proof = {
        "alg": "RFC6962-SHA256",
        "leaf": entry.digest.hex(),
        "index": entry.seq - 1,
        "size": head.size,
        "path": [node.hex() for node in merkle.inclusion_proof(leaves, entry.seq - 1)],
        "root": head.root,
        "time": head.time,
        "signature": base64.b64encode(bytes.fromhex(head.signature)).decode(),
        "certificates": keys.chain_pem,
    }
    label = entry.body["manifest"]
    return {
        "@context": CONTEXT,
        "@type": TYPE,
        "repository": {"uri": uri, "manifestId": label},
        "anchor": {"uri": f"{uri}/manifests/{label}/receipts", "proof": proof},
    }


def problem_of(said: dict[str, Any], entry: Entry, keys: Keys) -> str | None:
    """What is wrong with a receipt for a release; None if it is right.

    Args:
        said: JSON that somebody sent.
        entry: the release that it is said to be of.
        keys: of this installation.
    """
    try:
        if said["repository"]["manifestId"] != entry.body["manifest"]:
            return "the receipt is of another manifest"
        proof = said["anchor"]["proof"]
        leaf, path = bytes.fromhex(proof["leaf"]), [bytes.fromhex(node) for node in proof["path"]]
        signature = base64.b64decode(proof["signature"], validate=True).hex()
        head = Head(int(proof["size"]), str(proof["root"]), str(proof["time"]), signature)
        index = int(proof["index"])
        chain = read_chain(str(proof["certificates"]).encode(), "the receipt")
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, RequestError) as error:
        return f"it is no receipt of this repository ({type(error).__name__})"
    if leaf != entry.digest or index != entry.seq - 1:
        return "its leaf is not the entry of this manifest"
    if len(path) > 64 or not merkle.verify_inclusion(leaf, index, head.size, path, bytes.fromhex(head.root)):
        return "its path does not lead to its root"
    own = {to_pem(anchor.root) for anchor in keys.anchors}
    try:
        if to_pem(chain[-1]) not in own:
            return "its certificate is not one of this repository"
        for certificate, issuer in pairwise(chain):
            certificate.verify_directly_issued_by(issuer)
        key = chain[0].public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return "its certificate is not one of this repository"
        head.verify(key)
    except (InvalidSignature, ValueError, TypeError):
        return "its signature does not fit"
    return None


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
