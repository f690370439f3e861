"""Is this certificate what it is meant to be? Checked before a root is trusted and before a key is used.

The C2PA library accepts more than the specification allows (a life of 400 days, a missing purpose), so the rules of
C2PA 2.4, section 14.5, are checked here.
"""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

MAX_SIGNER_DAYS: Final = 366
C2PA_CLAIM_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""C2PA's own purpose, "claim signing"."""
PURPOSES: Final = {
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"): "documentSigning",
}
MAX_PEM: Final = 64 << 10


def read_chain(text: bytes, what: str) -> list[x509.Certificate]:
    """The certificates of a PEM file, in order.

    Raises:
        RequestError: it holds none, or one that is damaged, or far too much; `what` names the file.
    """
    if len(text) > MAX_PEM:
        raise RequestError(f"{what} has {len(text)} bytes; certificates in PEM form have at most {MAX_PEM}")
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise RequestError(
            f"{what} holds no certificate in PEM form ({error}); it begins with -----BEGIN CERTIFICATE-----"
        ) from error


def require_root(certificate: x509.Certificate, what: str, now: dt.datetime | None = None) -> None:
    """Refuse what is no self-signed certificate authority that is valid now.

    Raises:
        RequestError: saying which rule it breaks.
    """
    _require_now(certificate, what, now)
    if not _is_authority(certificate):
        raise RequestError(
            f"{what} is a signer's certificate and no root; ask the operator for the root certificate (root.pem)"
        )
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise RequestError(
            f"{what} was issued by {certificate.issuer.rfc4514_string()} and not by itself; give the root"
        ) from error
    _require_strong(certificate, what)


def require_signer(
    chain: list[x509.Certificate], key: ec.EllipticCurvePrivateKey, what: str, now: dt.datetime | None = None
) -> None:
    """Refuse what C2PA does not accept as a certificate that signs claims, or a key that is not its own.

    Args:
        chain: the signer's certificate, then its issuers.
        key: the private key.
        what: names the file.
        now: the time at which it has to be valid.

    Raises:
        RequestError: saying which rule it breaks.
    """
    signer = chain[0]
    _require_now(signer, what, now)
    if _is_authority(signer):
        raise RequestError(f"{what} begins with a certificate authority; the signer's own certificate comes first")
    if signer.public_key() != key.public_key():
        raise RequestError(f"{what} and the key do not belong together; give the key that the certificate was made for")
    days = (signer.not_valid_after_utc - signer.not_valid_before_utc).days
    if days > MAX_SIGNER_DAYS:
        raise RequestError(f"{what} is valid for {days} days; a claim signer's is valid for {MAX_SIGNER_DAYS} at most")
    usage = _extension(signer, x509.KeyUsage)
    if not isinstance(usage, x509.KeyUsage) or not usage.digital_signature:
        raise RequestError(f"{what} may not be used for signatures (key usage digitalSignature is missing)")
    purposes = _extension(signer, x509.ExtendedKeyUsage)
    found = set(purposes) if isinstance(purposes, x509.ExtendedKeyUsage) else set()
    if not found & set(PURPOSES):
        said = ", ".join(purpose.dotted_string for purpose in found) or "none"
        raise RequestError(f"{what} has the purposes {said}; it needs one of: {', '.join(PURPOSES.values())}")
    _require_strong(signer, what)
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise RequestError(
                f"{what}: {certificate.subject.rfc4514_string()} was not issued by the certificate after it; "
                "give the chain in order, the signer first"
            ) from error


def digest(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, hexadecimal: what people compare."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def to_pem(certificate: x509.Certificate) -> str:
    """PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _require_now(certificate: x509.Certificate, what: str, now: dt.datetime | None) -> None:
    now = now or dt.datetime.now(dt.UTC)
    if now < certificate.not_valid_before_utc:
        raise RequestError(f"{what} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; wait")
    if now > certificate.not_valid_after_utc:
        raise RequestError(f"{what} ran out on {certificate.not_valid_after_utc:%Y-%m-%d}; get a new one")


def _require_strong(certificate: x509.Certificate, what: str) -> None:
    key = certificate.public_key()
    if not _is_strong(key):
        raise RequestError(
            f"{what} has a {type(key).__name__.strip('_')} of {getattr(key, 'key_size', '?')} bits; C2PA takes P-256, "
            "P-384, P-521, Ed25519, or RSA of 2048 bits and more"
        )
    algorithm = certificate.signature_hash_algorithm
    if isinstance(algorithm, hashes.SHA1 | hashes.MD5):
        raise RequestError(f"{what} is signed with {algorithm.name}, which can be forged; get one with SHA-256")


def _is_strong(key: CertificatePublicKeyTypes) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return isinstance(key, ed25519.Ed25519PublicKey) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return isinstance(constraints, x509.BasicConstraints) and constraints.ca


def _extension(certificate: x509.Certificate, kind: type[x509.ExtensionType]) -> x509.ExtensionType | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None
