"""The keys of this installation: made once, checked every time they are used.

| file in `settings.keys_dir` | what |
|---|---|
| root.pem, root-key.pem | certificate authority of this installation; `root.pem` is what others add to trust it |
| signer.pem | the key that signs files and its certificate, which is renewed before it runs out |
| watermark.key | 32 random bytes in hexadecimal, from which watermark keys are derived |
| operator.pem | if present, this signs instead: a key, its certificate from an authority, and the chain |
| retired/SERIAL.pem | chains that signed before; their keys are gone |
| revoked.crl | certificates that were withdrawn, signed by the root; others add it to what they trust |
| signing.json | the time stamping authority, and whether signatures may leave without a time |

What changes them is in `rotation`.

The folder appears as a whole or not at all: it is filled under another name and then renamed, so a crash leaves no half
of a pair, and two processes that start at once end up with the same keys.
"""

from __future__ import annotations

import datetime as dt
import hmac
import json
import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kinemark.errors import FailureError, RequestError
from kinemark.provenance.signing.anchors import THIS, Anchor, read_revocations
from kinemark.provenance.signing.authority import root_certificate, signer_certificate
from kinemark.provenance.signing.certificates import digest, read_chain, require_signer, to_pem

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT, ROOT_KEY = "root.pem", "root-key.pem"
SIGNER = "signer.pem"
WATERMARK_KEY = "watermark.key"
SECRETS = (ROOT_KEY, SIGNER, WATERMARK_KEY)
FILES = (ROOT, ROOT_KEY, SIGNER, WATERMARK_KEY)
OPERATOR = "operator.pem"
RETIRED, REVOKED, SIGNING = "retired", "revoked.crl", "signing.json"
_BEGIN = "-----BEGIN CERTIFICATE-----"

RENEW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Stamping:
    """The time stamping authority (RFC 3161) that signatures get their time from, if any.

    Attributes:
        url: where it answers.
        untimed: whether a file may leave without a time when it does not answer; else nothing leaves then.
    """

    url: str | None = None
    untimed: bool = False


NO_STAMPING = Stamping()


@dataclass(frozen=True, slots=True)
class Keys:
    """What signing and marking need.

    Attributes:
        root_pem: this installation's own root certificate.
        chain_pem: the signer's certificate followed by its issuers'.
        signer_key: the key that signs, on a NIST curve; it never leaves this process.
        watermark_secret: 32 bytes; use `watermark_key`.
        anchors: what files signed here, now or before, are trusted under.
        stamping: where signatures get their time from.
    """

    root_pem: str
    chain_pem: str
    signer_key: ec.EllipticCurvePrivateKey
    watermark_secret: bytes
    anchors: tuple[Anchor, ...] = ()
    stamping: Stamping = NO_STAMPING

    @property
    def anchor_pem(self) -> str:
        """The last certificate of the chain: what today's signatures are trusted under."""
        return _BEGIN + self.chain_pem.rsplit(_BEGIN, 1)[1]

    @property
    def serial(self) -> int:
        """Serial number of the certificate that signs today."""
        return x509.load_pem_x509_certificate(self.chain_pem.encode()).serial_number

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
        root, root_key = _certificate(keys_dir / ROOT), read_private_key(keys_dir / ROOT_KEY)
        signer, signer_key = read_pair(keys_dir / SIGNER)
        watermark_secret = bytes.fromhex((keys_dir / WATERMARK_KEY).read_text().strip())
    except OSError as error:
        raise FailureError(f"cannot read the keys in {keys_dir}: {error}; check who owns the folder.") from error
    except (ValueError, TypeError, RequestError) as error:
        raise FailureError(
            f"a file in the key folder {keys_dir} is damaged ({error}); restore it from a backup."
        ) from error
    for name, certificate, key in ((ROOT, root, root_key), (SIGNER, signer[0], signer_key)):
        if certificate.public_key() != key.public_key():
            raise FailureError(f"{keys_dir / name} does not belong to its key; restore both from one backup.")
    if len(watermark_secret) != 32:
        raise FailureError(f"{keys_dir / WATERMARK_KEY} holds {len(watermark_secret)} bytes, not 32; restore it.")
    root_pem = to_pem(root)
    chain_pem = to_pem(signer[0]) + root_pem
    if (keys_dir / OPERATOR).is_file():
        chain_pem, signer_key = _operators_own(keys_dir / OPERATOR)
    anchors = _anchors(keys_dir, root, root_pem, chain_pem)
    return Keys(root_pem, chain_pem, signer_key, watermark_secret, anchors, _stamping(keys_dir))


def _operators_own(path: Path) -> tuple[str, ec.EllipticCurvePrivateKey]:
    """The operator's chain and key, which sign instead of the installation's own."""
    try:
        _require_private(path)
        chain, key = read_pair(path)
        require_signer(chain, key, str(path))
    except (OSError, ValueError, TypeError, RequestError) as error:
        raise FailureError(
            f"the operator's certificate cannot be used: {error}. Give another (kinemark keys use CERT KEY), or go "
            "back to this installation's own key (kinemark keys use --own)."
        ) from error
    return "".join(map(to_pem, chain)), key


def _anchors(keys_dir: Path, root: x509.Certificate, root_pem: str, chain_pem: str) -> tuple[Anchor, ...]:
    """The own root, and for each certificate of an authority the authority, for that one signer only."""
    crl = keys_dir / REVOKED
    try:
        revoked = read_revocations(crl.read_bytes(), root, str(crl)) if crl.is_file() else {}
        chains = [chain_pem, *(path.read_text() for path in sorted((keys_dir / RETIRED).glob("*.pem")))]
        read = [read_chain(text.encode(), "a chain") for text in chains]
    except (OSError, RequestError) as error:
        raise FailureError(f"{error}. Restore the key folder {keys_dir} from a backup.") from error
    foreign = [
        Anchor(THIS, to_pem(chain[-1]), revoked, frozenset({chain[0].serial_number}))
        for chain in read
        if digest(chain[-1]) != digest(root)
    ]
    return (Anchor(THIS, root_pem, revoked), *foreign)


def _stamping(keys_dir: Path) -> Stamping:
    path = keys_dir / SIGNING
    try:
        said = json.loads(path.read_text()) if path.is_file() else {}
        return Stamping(said.get("tsa"), bool(said.get("untimed", False)))
    except (OSError, ValueError, AttributeError) as error:
        raise FailureError(f"{path} is damaged ({error}); set it again: kinemark keys use --tsa URL") from error


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
        elif read_pair(keys_dir / SIGNER)[0][0].not_valid_after_utc < now + dt.timedelta(days=RENEW_DAYS):
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
        root = root_certificate(root_key, now)
        write_private(draft / ROOT_KEY, private_pem(root_key))
        write_private(draft / ROOT, to_pem(root).encode())
        write_private(
            draft / SIGNER, pair([signer_certificate(root, root_key, signer_key.public_key(), now)], signer_key)
        )
        write_private(draft / WATERMARK_KEY, secrets.token_hex(32).encode())
        try:
            draft.rename(keys_dir)
        except OSError:
            if not keys_dir.is_dir() or not any(keys_dir.iterdir()):
                raise  # not a lost race
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _renew(keys_dir: Path, now: dt.datetime) -> None:
    """A new certificate for the same key."""
    _, key = read_pair(keys_dir / SIGNER)
    replace_private(keys_dir / SIGNER, pair([issue(keys_dir, key, now)], key))


def issue(keys_dir: Path, key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    """A certificate for a signer's key from this installation's own root."""
    root, root_key = _certificate(keys_dir / ROOT), read_private_key(keys_dir / ROOT_KEY)
    return signer_certificate(root, root_key, key.public_key(), now)


def pair(chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key and its certificates as one file, so that they can only be replaced together."""
    return "".join(map(to_pem, chain)).encode() + private_pem(key)


def read_pair(path: Path) -> tuple[list[x509.Certificate], ec.EllipticCurvePrivateKey]:
    """The certificates of such a file and its key.

    Raises:
        OSError, RequestError, ValueError, TypeError: it cannot be read, or holds no certificate or no such key.
    """
    text = path.read_bytes()
    apart = path.with_name(f"{path.stem}-key.pem")  # where version 0.1.0 kept the key
    return read_chain(text, str(path)), read_private_key(path if b"PRIVATE KEY" in text else apart)


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


def replace_private(path: Path, content: bytes) -> None:
    """Give such a file new content in one step."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        write_private(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _require_private(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        raise FailureError(
            f"the key {path} can be read by others (mode {mode:03o}; it must be 600). Run: chmod 600 {path}. "
            "If anybody else may have read it, move the folder aside and let new keys be made."
        )
