"""The keys of this installation: made once, checked every time they are used.

| file in `settings.keys_dir` | what |
|---|---|
| root.pem, root-key.pem | certificate authority of this installation; `root.pem` is what others add to trust it |
| signer.pem, signer-key.pem | the certificate and key that sign files; the certificate is renewed before it runs out |
| watermark.key | 32 random bytes in hexadecimal, from which watermark keys are derived |

The folder appears as a whole or not at all: it is filled under another name and then renamed, so a crash leaves no half
of a pair, and two processes that start at once end up with the same keys.
"""

from __future__ import annotations

import datetime as dt
import hmac
import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kinemark.errors import FailureError
from kinemark.provenance.certificates import C2PA_CLAIM_SIGNING

ROOT, ROOT_KEY = "root.pem", "root-key.pem"
SIGNER, SIGNER_KEY = "signer.pem", "signer-key.pem"
WATERMARK_KEY = "watermark.key"
SECRETS = (ROOT_KEY, SIGNER_KEY, WATERMARK_KEY)
FILES = (ROOT, ROOT_KEY, SIGNER, SIGNER_KEY, WATERMARK_KEY)

ROOT_DAYS = 20 * 365
SIGNER_DAYS = 365
"""C2PA allows at most 366 days for a claim signing certificate."""
RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Keys:
    """What signing and marking need.

    Attributes:
        root_pem: the root certificate, the anchor of trust.
        chain_pem: the signer's certificate followed by the root's.
        signer_key: the P-256 key that signs; it never leaves this process.
        watermark_secret: 32 bytes; use `watermark_key`.
    """

    root_pem: str
    chain_pem: str
    signer_key: ec.EllipticCurvePrivateKey
    watermark_secret: bytes

    @property
    def watermark_key(self) -> bytes:
        """Key of the payload watermark, derived so that further marks can have keys of their own."""
        return hmac.digest(self.watermark_secret, b"kinemark watermark payload 1", "sha256")


def load_keys(keys_dir: Path) -> Keys | None:
    """Read this installation's keys; None where none were made yet.

    Raises:
        FailureError: a file is missing, unreadable, readable by others, or does not belong to its pair.
    """
    if not keys_dir.is_dir() or not any(keys_dir.iterdir()):
        return None
    for name in FILES:
        if not (keys_dir / name).is_file():
            raise FailureError(
                f"the key folder {keys_dir} lacks {name}. Restore it from a backup. If it is lost, move the folder "
                f"aside (mv {keys_dir} {keys_dir}.old) and new keys are made at the next release; "
                "what was signed before then reads as made by another installation."
            )
    for name in SECRETS:
        _require_private(keys_dir / name)
    try:
        root, signer = _certificate(keys_dir / ROOT), _certificate(keys_dir / SIGNER)
        root_key, signer_key = read_private_key(keys_dir / ROOT_KEY), read_private_key(keys_dir / SIGNER_KEY)
        watermark_secret = bytes.fromhex((keys_dir / WATERMARK_KEY).read_text().strip())
    except OSError as error:
        raise FailureError(f"cannot read the keys in {keys_dir}: {error}; check who owns the folder.") from error
    except (ValueError, TypeError) as error:
        raise FailureError(
            f"a file in the key folder {keys_dir} is damaged ({error}); restore it from a backup."
        ) from error
    for name, certificate, key in ((ROOT, root, root_key), (SIGNER, signer, signer_key)):
        if certificate.public_key() != key.public_key():
            raise FailureError(f"{keys_dir / name} does not belong to the key beside it; restore both from one backup.")
    if len(watermark_secret) != 32:
        raise FailureError(f"{keys_dir / WATERMARK_KEY} holds {len(watermark_secret)} bytes, not 32; restore it.")
    root_pem, signer_pem = (keys_dir / ROOT).read_text(), (keys_dir / SIGNER).read_text()
    return Keys(root_pem, signer_pem + root_pem, signer_key, watermark_secret)


def require_keys(keys_dir: Path, now: dt.datetime | None = None) -> Keys:
    """Read the keys, making them on first use and renewing the signer's certificate when it is about to run out.

    Raises:
        FailureError: as `load_keys`; or the folder cannot be written.
    """
    now = now or dt.datetime.now(dt.UTC)
    try:
        keys = load_keys(keys_dir)
        if keys is None:
            _make(keys_dir, now)
        elif _certificate(keys_dir / SIGNER).not_valid_after_utc < now + dt.timedelta(days=RENEW_DAYS):
            _renew(keys_dir, now)
        else:
            return keys
        keys = load_keys(keys_dir)
    except OSError as error:
        raise FailureError(
            f"cannot write the keys to {keys_dir}: {error}; check the folder, or set KINEMARK_HOME."
        ) from error
    if keys is None:
        raise FailureError(f"the keys in {keys_dir} disappeared while they were being made; try again.")
    return keys


def _make(keys_dir: Path, now: dt.datetime) -> None:
    """Fill a private folder beside `keys_dir`, then rename it; whoever renames first wins."""
    keys_dir.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = Path(tempfile.mkdtemp(prefix=".keys-", dir=keys_dir.parent))
    try:
        root_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root = _root_certificate(root_key, now)
        write_private(draft / ROOT_KEY, private_pem(root_key))
        write_private(draft / ROOT, root.public_bytes(serialization.Encoding.PEM))
        write_private(draft / SIGNER_KEY, private_pem(signer_key))
        signer = _signer_certificate(root, root_key, signer_key.public_key(), now)
        write_private(draft / SIGNER, signer.public_bytes(serialization.Encoding.PEM))
        write_private(draft / WATERMARK_KEY, secrets.token_hex(32).encode())
        try:
            draft.rename(keys_dir)
        except OSError:
            if not keys_dir.is_dir() or not any(keys_dir.iterdir()):
                raise  # not a lost race
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _renew(keys_dir: Path, now: dt.datetime) -> None:
    """Replace the signer's certificate, for the same key, in one step."""
    root, root_key = _certificate(keys_dir / ROOT), read_private_key(keys_dir / ROOT_KEY)
    signer = _signer_certificate(root, root_key, read_private_key(keys_dir / SIGNER_KEY).public_key(), now)
    draft = keys_dir / f".{SIGNER}-{secrets.token_hex(4)}"
    try:
        write_private(draft, signer.public_bytes(serialization.Encoding.PEM))
        draft.replace(keys_dir / SIGNER)
    finally:
        draft.unlink(missing_ok=True)


def _root_certificate(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    """A self-signed authority. Its name says nothing about a person or a machine."""
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


def _signer_certificate(
    root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.Certificate:
    """A claim signing certificate as C2PA 2.4 section 14.5 wants it."""
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


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a key from a PEM file without a password.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no key.
        TypeError: it holds another kind of key.
    """
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path.name} is not an elliptic curve key")
    return key


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as PEM text, not encrypted: the mode of its file protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and push it to the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _require_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise FailureError(
            f"the key {path} can be read by others (mode {mode:03o}; it must be 600). Run: chmod 600 {path}. "
            "If anybody else may have read it, move the folder aside and let new keys be made."
        )
