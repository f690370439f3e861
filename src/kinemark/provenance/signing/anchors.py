"""Whose signatures are believed, and since when no longer: root certificates and their revocation lists.

A revocation list (CRL, RFC 5280) names the certificates that a root withdrew and the time of each. What such a
certificate signed before that time stays believed, where a trusted time stamp shows that it did.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from kinemark.errors import RequestError
from kinemark.provenance.signing.certificates import MAX_PEM, read_chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric import ec

THIS: Final = "this_installation"
"""What an anchor of this installation is called."""

LIST_DAYS: Final = 365
"""How long a revocation list says that it is current; an added one is believed until a newer one replaces it."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A root whose signatures are believed.

    Attributes:
        name: who made what is trusted under it.
        root_pem: its certificate, PEM.
        revoked: serial numbers of the certificates that it withdrew, and since when.
        serials: the only signers that are believed; None for whomever the root issued. An operator whose certificate
            comes from an authority shares that authority with strangers.
    """

    name: str
    root_pem: str
    revoked: Mapping[int, dt.datetime] = field(default_factory=dict)
    serials: frozenset[int] | None = None

    @property
    def root(self) -> x509.Certificate:
        """The certificate."""
        return read_chain(self.root_pem.encode(), self.name)[0]

    def knows(self, serial: int | None) -> bool:
        """Whether a signer's certificate with this serial number is this anchor's."""
        return self.serials is None or serial in self.serials

    def withdrew(self, serial: int | None, time: dt.datetime | None) -> bool:
        """Whether a signature of this serial number is no longer believed, made at `time` if that is known."""
        since = self.revoked.get(serial) if serial is not None else None
        return since is not None and (time is None or time >= since)


def revocation_list(
    root: x509.Certificate, key: ec.EllipticCurvePrivateKey, revoked: Mapping[int, dt.datetime], now: dt.datetime
) -> bytes:
    """A signed list of withdrawn certificates, PEM."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(root.subject)
    builder = builder.last_update(now).next_update(now + dt.timedelta(days=LIST_DAYS))
    for serial, since in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def read_revocations(text: bytes, root: x509.Certificate, what: str) -> dict[int, dt.datetime]:
    """Serial number and time of every certificate that a list withdraws.

    Raises:
        RequestError: it is no list, or this root did not sign it; `what` names the file.
    """
    listed = _read_list(text, root, what)
    return {entry.serial_number: entry.revocation_date_utc for entry in listed}


def require_newer(text: bytes, known: bytes, root: x509.Certificate, what: str) -> None:
    """Refuse a list that is older than one known already: it would believe again what was withdrawn.

    Raises:
        RequestError: it is older, or as `read_revocations`.
    """
    new, old = _read_list(text, root, what), _read_list(known, root, "the known list")
    if new.last_update_utc < old.last_update_utc:
        raise RequestError(
            f"{what} is of {new.last_update_utc:%Y-%m-%d %H:%M} UTC, and a list of {old.last_update_utc:%Y-%m-%d %H:%M}"
            " is known already; ask the operator for the newest"
        )


def serials_to_json(serials: frozenset[int] | None) -> list[str] | None:
    """Serial numbers as they stand in files and documents: hexadecimal; None for all."""
    return None if serials is None else [f"{serial:x}" for serial in sorted(serials)]


def serials_from_json(said: Iterable[str] | None) -> frozenset[int] | None:
    """Read them.

    Raises:
        ValueError, TypeError: these are no such numbers.
    """
    return None if said is None else frozenset(int(serial, 16) for serial in said)


def _read_list(text: bytes, root: x509.Certificate, what: str) -> x509.CertificateRevocationList:
    if len(text) > MAX_PEM:
        raise RequestError(f"{what} has {len(text)} bytes; a revocation list here has at most {MAX_PEM}")
    try:
        listed = x509.load_pem_x509_crl(text)
        signed = listed.is_signature_valid(root.public_key())  # type: ignore[arg-type]  # wrong kinds raise TypeError
    except (ValueError, TypeError) as error:
        raise RequestError(
            f"{what} is no revocation list in PEM form ({error}); it begins with -----BEGIN X509 CRL-----"
        ) from error
    if not signed or listed.issuer != root.subject:
        raise RequestError(f"{what} was not signed by {root.subject.rfc4514_string()}; ask the operator for theirs")
    return listed
