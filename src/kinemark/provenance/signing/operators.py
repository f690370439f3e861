"""The document by which an operator is known: `/.well-known/kinemark.json`.

It holds the root certificate under which the operator's files are recognised, the certificates that were withdrawn, and
the address of the operator's resolution service. It proves nothing by itself: compare the digest of the root with the
operator, as with a certificate that comes by mail.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from kinemark.errors import RequestError
from kinemark.provenance.signing.anchors import serials_from_json, serials_to_json
from kinemark.provenance.signing.keys import REVOKED

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.provenance.signing.keys import Keys

VERSION: Final = 1
MAX_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Operator:
    """What such a document says.

    Attributes:
        root_pem: the root certificate.
        serials: the only signers under it that are the operator's; None for all.
        revoked_pem: the list of withdrawn certificates, if there is one.
        resolver: address of the resolution service, if there is one.
    """

    root_pem: str
    serials: frozenset[int] | None = None
    revoked_pem: str | None = None
    resolver: str | None = None


def document(keys: Keys, keys_dir: Path, resolver: str) -> dict[str, Any]:
    """This installation's own document; `resolver` is the address of its resolution service."""
    crl = keys_dir / REVOKED
    anchor = next(anchor for anchor in keys.anchors if anchor.root_pem == keys.anchor_pem)
    return {
        "kinemark_operator": VERSION,
        "root": keys.anchor_pem,
        "signers": serials_to_json(anchor.serials),
        "revoked": crl.read_text() if crl.is_file() else None,
        "resolver": resolver,
    }


def read_document(text: bytes, what: str) -> Operator:
    """Read somebody's document.

    Raises:
        RequestError: it is none, or of a later version; `what` names the file.
    """
    if len(text) > MAX_BYTES:
        raise RequestError(f"{what} has {len(text)} bytes; such a document has at most {MAX_BYTES}")
    try:
        said = json.loads(text)
        version, root, signers = said.get("kinemark_operator"), said.get("root"), said.get("signers")
        revoked, resolver = said.get("revoked"), said.get("resolver")
        serials = serials_from_json(signers)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"{what} is no operator's document ({error}); theirs lies at /.well-known/kinemark.json"
        ) from error
    if version != VERSION:
        raise RequestError(f"{what} has version {version!r}; this Kinemark reads version {VERSION}")
    if not isinstance(root, str) or not isinstance(revoked, str | None) or not isinstance(resolver, str | None):
        raise RequestError(f"{what} lacks a root certificate, or one of its fields is no text")
    if resolver is not None and urlsplit(resolver).scheme not in {"http", "https"}:
        raise RequestError(f"{what} names the resolver {resolver!r}; that is no http:// or https:// address")
    return Operator(root, serials, revoked, resolver)
