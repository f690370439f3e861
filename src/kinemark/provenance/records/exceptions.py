"""Exceptions that an operator signs into the ledger: what is done although the rule speaks against it, by whom and why.

An exception stands as long as the key that signed it is the one that signs today. It cannot be taken back silently: the
entry stays, and another key, a renewed one too, has to sign its own.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark.errors import RequestError
from kinemark.provenance.records.ledger import canonical

if TYPE_CHECKING:
    from kinemark.provenance.records.ledger import Entry, Ledger
    from kinemark.provenance.signing.keys import Keys

What = Literal["photoreal-without-classifier"]

_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())


def sign_exception(ledger: Ledger, keys: Keys, what: What, *, by: str, reason: str, now: dt.datetime) -> Entry:
    """Enter an exception, signed with this installation's key.

    Raises:
        RequestError: nobody's name, or no reason.
        FailureError: the ledger cannot be written.
    """
    if not by.strip() or not reason.strip():
        raise RequestError("an exception needs the name of who takes it upon themselves, and a reason")
    said = {
        "exception": what,
        "by": by.strip(),
        "reason": reason.strip(),
        "signed": now.astimezone(dt.UTC).isoformat(timespec="seconds"),
    }
    signature = keys.signer_key.sign(canonical(said).encode(), _ALGORITHM).hex()
    return ledger.append("exception", ledger.new_id(), {**said, "signature": signature})


def standing(ledger: Ledger, keys: Keys, what: What) -> Entry | None:
    """The newest exception of that kind which today's key signed; None if there is none."""
    for entry in reversed(ledger.exceptions()):
        said = dict(entry.body)
        try:
            signature = bytes.fromhex(said.pop("signature"))
            keys.signer_key.public_key().verify(signature, canonical(said).encode(), _ALGORITHM)
        except (InvalidSignature, KeyError, ValueError, TypeError):
            continue
        if said.get("exception") == what:
            return entry
    return None
