"""Changing what signs here: a new key, a withdrawn one, an operator's certified one, a time stamping authority.

How files that were signed before read afterwards:

| after | signed before | reads as |
|---|---|---|
| rotate | with the old key | as before, until its certificate runs out; then by the ledger, or by a time stamp |
| revoke | before the time of the revocation, with a time stamp | as before |
| revoke | without a time stamp, or later | revoked; recognised only where the ledger holds exactly this file |
| use CERT KEY | with the installation's own key | as before |
| use --own | with the operator's key | as before, until its certificate runs out |
"""

from __future__ import annotations

import datetime as dt
import io
import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from kinemark.errors import FailureError, RequestError
from kinemark.provenance.signing.anchors import THIS, Anchor, read_revocations, revocation_list
from kinemark.provenance.signing.certificates import read_chain, require_signer, to_pem
from kinemark.provenance.signing.claims import Claim, sign
from kinemark.provenance.signing.credentials import read_credentials, trusted_time
from kinemark.provenance.signing.keys import (
    OPERATOR,
    RETIRED,
    REVOKED,
    ROOT_KEY,
    SIGNER,
    SIGNING,
    Keys,
    Stamping,
    issue,
    pair,
    read_pair,
    read_private_key,
    replace_private,
    require_keys,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def rotate(keys_dir: Path, now: dt.datetime | None = None) -> Keys:
    """Replace the installation's own signing key and certificate; the old key is destroyed, its certificate kept.

    Raises:
        RequestError: an operator's certificate signs here; its authority issues the next one.
        FailureError: the folder is damaged or cannot be written.
    """
    keys = require_keys(keys_dir, now)
    if (keys_dir / OPERATOR).is_file():
        raise RequestError(
            "an operator's certificate signs here: get the next one from its authority (kinemark keys use CERT KEY), "
            "or go back to this installation's own key (kinemark keys use --own)"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    _retire(keys_dir, read_chain(keys.chain_pem.encode(), SIGNER))
    replace_private(keys_dir / SIGNER, pair([issue(keys_dir, key, now or dt.datetime.now(dt.UTC))], key))
    return require_keys(keys_dir, now)


def revoke(
    keys_dir: Path, serial: int | None = None, since: dt.datetime | None = None, now: dt.datetime | None = None
) -> Keys:
    """Withdraw a certificate; if it is the one that signs today, the next key takes its place.

    Args:
        keys_dir: this installation's keys.
        serial: the certificate's serial number; None for the one that signs today.
        since: the time from which its signatures are no longer believed; None for now.
        now: the time.

    Raises:
        RequestError: there is no such certificate, it was withdrawn already for as early a time, or `since` lies in the
            future.
        FailureError: the folder is damaged or cannot be written.
    """
    now = now or dt.datetime.now(dt.UTC)
    since = since or now
    keys = require_keys(keys_dir, now)
    serial = keys.serial if serial is None else serial
    known = {keys.serial} | {certificate.serial_number for certificate in retired(keys_dir)}
    if serial not in known:
        listed = ", ".join(f"{number:x}" for number in sorted(known))
        raise RequestError(f"no certificate here has the serial number {serial:x}; there is: {listed}")
    if since > now:
        raise RequestError(f"{since:%Y-%m-%d %H:%M} UTC lies in the future; give a time up to now")
    own = keys.anchors[0]
    root, revoked = own.root, dict(own.revoked)
    if serial in revoked and revoked[serial] <= since:
        raise RequestError(f"{serial:x} is withdrawn already, since {revoked[serial]:%Y-%m-%d %H:%M} UTC")
    listed_pem = revocation_list(root, read_private_key(keys_dir / ROOT_KEY), revoked | {serial: since}, now)
    read_revocations(listed_pem, root, REVOKED)
    replace_private(keys_dir / REVOKED, listed_pem)
    if serial != keys.serial:
        return require_keys(keys_dir, now)
    if (keys_dir / OPERATOR).is_file():
        use_own(keys_dir)
    return rotate(keys_dir, now)


def use_operator(keys_dir: Path, certificate: Path, key: Path, time_roots: str = "") -> Keys:
    """Sign with an operator's certified key from now on.

    Args:
        keys_dir: this installation's keys.
        certificate: the chain, PEM: the signer's certificate first, then its issuers up to the one to trust.
        key: its private key, PEM without a password, on a NIST curve.
        time_roots: root certificates of time stamping authorities that are trusted, PEM.

    Raises:
        RequestError: they are not what C2PA accepts, do not belong together, or a trial signature is not trusted.
        FailureError: the folder is damaged or cannot be written.
    """
    what = str(certificate)
    try:
        chain, private = read_chain(certificate.read_bytes(), what), read_private_key(key)
    except OSError as error:
        raise RequestError(f"cannot read {error.filename}: {error.strerror or error}; check the name") from error
    except (ValueError, TypeError) as error:
        raise RequestError(
            f"{key} holds no key that can be used ({error}); give an elliptic curve key (P-256, P-384 or P-521) in PEM "
            "form, without a password"
        ) from error
    require_signer(chain, private, what)
    if len(chain) < 2:
        raise RequestError(f"{what} holds one certificate; append those of its issuers, up to the one to be trusted")
    keys = require_keys(keys_dir)
    draft = replace(keys, chain_pem="".join(map(to_pem, chain)), signer_key=private)
    _try(draft, time_roots)
    if (keys_dir / OPERATOR).is_file():
        _retire(keys_dir, read_pair(keys_dir / OPERATOR)[0])
    replace_private(keys_dir / OPERATOR, pair(chain, private))
    return require_keys(keys_dir)


def use_own(keys_dir: Path) -> None:
    """Go back to the installation's own key; the operator's is destroyed here, its certificate kept.

    Raises:
        RequestError: no operator's certificate signs here.
    """
    path = keys_dir / OPERATOR
    if not path.is_file():
        raise RequestError("this installation's own key signs here already")
    _retire(keys_dir, read_chain(path.read_bytes(), str(path)))
    path.unlink()


def use_stamping(keys_dir: Path, stamping: Stamping, time_roots: str) -> Keys:
    """Get a time for every signature from this authority; one with no URL ends that.

    Raises:
        RequestError: it does not answer, or its time stamps are not trusted here.
        FailureError: the folder is damaged or cannot be written.
    """
    keys = require_keys(keys_dir)
    if stamping.url is not None:
        if not stamping.url.startswith(("http://", "https://")):
            raise RequestError(f"the time stamping authority is {stamping.url!r}; give its http:// or https:// address")
        _try(replace(keys, stamping=replace(stamping, untimed=False)), time_roots)
    said = {"tsa": stamping.url, "untimed": stamping.untimed}
    replace_private(keys_dir / SIGNING, json.dumps(said).encode())
    return require_keys(keys_dir)


def retired(keys_dir: Path) -> list[x509.Certificate]:
    """The certificates that signed here before."""
    return [
        x509.load_pem_x509_certificates(path.read_bytes())[0] for path in sorted((keys_dir / RETIRED).glob("*.pem"))
    ]


def _retire(keys_dir: Path, chain: Sequence[x509.Certificate]) -> None:
    (keys_dir / RETIRED).mkdir(mode=0o700, exist_ok=True)
    replace_private(keys_dir / RETIRED / f"{chain[0].serial_number:x}.pem", "".join(map(to_pem, chain)).encode())


def _try(keys: Keys, time_roots: str) -> None:
    """Sign a picture with them and read it back, before anything depends on it."""
    picture = io.BytesIO()
    Image.new("RGB", (16, 16)).save(picture, "PNG")
    with TemporaryDirectory() as folder:
        plain, signed = Path(folder) / "plain.png", Path(folder) / "signed.png"
        plain.write_bytes(picture.getvalue())
        try:
            sign(plain, signed, Claim("0" * 8, dt.datetime.now(dt.UTC), 1.0, "trial", "0" * 64), keys)
        except FailureError as error:
            why = error.__cause__ or error
            raise RequestError(f"a trial signature failed, and nothing was changed: {why}") from error
        found = read_credentials(signed, (Anchor(THIS, keys.anchor_pem),))
        if found.state != "trusted":
            raise RequestError(
                f"a trial signature reads as {found.state} ({', '.join(found.codes) or 'no code'}), and nothing was "
                "changed: check the order of the chain and what its certificates may be used for"
            )
        if keys.stamping.url and trusted_time(signed, time_roots) is None:
            raise RequestError(
                f"the time stamps of {keys.stamping.url} are not trusted here, and nothing was changed: add its root "
                "certificate first (kinemark trust add NAME ROOT --time)"
            )
