"""This installation's own certificate authority: its root certificate, and those that it issues to its signer."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kinemark.provenance.signing.certificates import C2PA_CLAIM_SIGNING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

ROOT_DAYS = 20 * 365
SIGNER_DAYS = 365
"""C2PA allows at most 366 days for a claim signing certificate."""


def root_certificate(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    """A self-signed authority for twenty years. Its name says nothing about a person or a machine."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "ZZ"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Kinemark installation {secrets.token_hex(4)}"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Kinemark root"),
        ]
    )
    builder = _builder(name, name, key.public_key(), key.public_key(), now, ROOT_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_usage(authority=True), critical=True).sign(key, hashes.SHA256())


def signer_certificate(
    root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.Certificate:
    """A claim signing certificate as C2PA 2.4 section 14.5 wants it, valid for a year from an hour ago."""
    organization = root.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0]
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "ZZ")
    name = x509.Name([country, organization, x509.NameAttribute(NameOID.COMMON_NAME, "Kinemark signer")])
    builder = _builder(name, root.subject, public, root_key.public_key(), now, SIGNER_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    purposes = x509.ExtendedKeyUsage([C2PA_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    return builder.add_extension(purposes, critical=False).sign(root_key, hashes.SHA256())


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    authority: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    begin = now - dt.timedelta(hours=1)  # a clock that is a little behind must not refuse today's file
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + dt.timedelta(days=days))
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
