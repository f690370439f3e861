"""`kinemark keys`: what signs here, and who may ask the server."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from cryptography import x509

    from kinemark.provenance.signing.keys import Keys
    from kinemark.server.accounts import Accounts

app = typer.Typer(
    help="What signs here: show, replace, revoke it, or sign with a certified key; and keys of the server's API.",
    no_args_is_help=True,
)


@app.command()
def show(json: Json = False) -> None:
    """Show the root, the certificate that signs, those that signed before, and the time stamping authority."""
    _show(_keys(), json=json)


@app.command()
def rotate() -> None:
    """Replace the signing key. Files signed before stay trusted until their certificate runs out."""
    from kinemark.provenance.signing.rotation import rotate as change

    _show(change(_folder()), json=False)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose it is.", show_default=False)],
    scope: Annotated[str, typer.Option(help="What it may do: generate, verify, or both with a comma.")] = "generate",
    limit: Annotated[str | None, typer.Option(help="How many clips it may ask for, such as 20/day.")] = None,
    database: Annotated[str | None, typer.Option(help="Of the server.", show_default="in KINEMARK_HOME")] = None,
    json: Json = False,
) -> None:
    """Make a key of the server's API. It is shown once, and only its hash is kept."""
    key = _accounts(database).create(name, [one.strip() for one in scope.split(",")], _per_day(limit))
    if json:
        print_json({"key": key, "name": name})
    else:
        out().print(key, soft_wrap=True)


@app.command(name="list")
def list_keys(
    database: Annotated[str | None, typer.Option(help="Of the server.", show_default="in KINEMARK_HOME")] = None,
    json: Json = False,
) -> None:
    """List the keys of the server's API that are in force, by their ids."""
    rows: list[dict[str, Any]] = [
        {"id": one.id, "name": one.name, "scopes": sorted(one.scopes), "per_day": one.per_day}
        for one in _accounts(database).all()
    ]
    if json:
        print_json({"keys": rows})
        return
    for row in rows:
        most = f"{row['per_day']} a day" if row["per_day"] else "any number"
        out().print(f"{row['id']}  {row['name']}  {', '.join(row['scopes'])}  {most}", soft_wrap=True)


@app.command()
def withdraw(
    id: Annotated[str, typer.Argument(help="The key's id, as keys list shows it.", show_default=False)],  # noqa: A002
    database: Annotated[str | None, typer.Option(help="Of the server.", show_default="in KINEMARK_HOME")] = None,
) -> None:
    """Withdraw a key of the server's API; within half a minute nobody can use it."""
    _accounts(database).withdraw(id)
    out().print(f"{id} is withdrawn")


def _accounts(database: str | None) -> Accounts:
    from kinemark.cli.serve import require_server
    from kinemark.settings import load_settings

    require_server()
    from kinemark.server.accounts import Accounts
    from kinemark.server.database import open_database

    settings = load_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    return Accounts(open_database(database or settings.database_url))


def _per_day(limit: str | None) -> int | None:
    if limit is None:
        return None
    count, _, span = limit.partition("/")
    if span != "day" or not count.isascii() or not count.isdigit():
        raise RequestError(f"limit is {limit!r}; write a number a day, such as 20/day")
    return int(count)


@app.command()
def revoke(
    serial: Annotated[
        str | None, typer.Argument(help="Serial number of the certificate, hexadecimal.", show_default="today's")
    ] = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="When its key may have leaked (UTC).", show_default="now"
        ),
    ] = None,
) -> None:
    """Withdraw a certificate whose key may be known to others.

    What it signed is believed only with a time stamp from before, or where the ledger holds exactly that file. Give
    revoked.crl from the key folder to everybody who trusts your root (kinemark trust update NAME revoked.crl).
    """
    from kinemark.provenance.signing.keys import REVOKED
    from kinemark.provenance.signing.rotation import revoke as change

    try:
        number = None if serial is None else int(serial, 16)
    except ValueError as error:
        raise RequestError(f"the serial number is {serial!r}; it is hexadecimal, see: kinemark keys show") from error
    _show(change(_folder(), number, since.replace(tzinfo=dt.UTC) if since else None), json=False)
    out().print(f"The list to give to others: {_folder() / REVOKED}", soft_wrap=True)


@app.command()
def use(
    certificate: Annotated[
        Path | None, typer.Argument(metavar="CERT", help="Certificate chain, PEM, signer first.", show_default=False)
    ] = None,
    key: Annotated[Path | None, typer.Argument(metavar="KEY", help="Its private key, PEM.", show_default=False)] = None,
    own: Annotated[bool, typer.Option("--own", help="Go back to this installation's own key.")] = False,
    tsa: Annotated[
        str | None, typer.Option(metavar="URL", help="Time stamping authority (RFC 3161); 'none' for no more times.")
    ] = None,
    untimed: Annotated[
        bool, typer.Option("--untimed", help="Let files leave without a time when the authority does not answer.")
    ] = False,
) -> None:
    """Sign with an operator's certified key, or get a time for every signature from an authority.

    Both are tried on a picture before anything changes. Without --untimed, nothing is released while the time stamping
    authority does not answer.
    """
    from kinemark.provenance.signing import rotation
    from kinemark.provenance.signing.keys import Stamping
    from kinemark.provenance.signing.trust import time_roots
    from kinemark.settings import load_settings

    if (certificate is None) != (key is None):
        raise RequestError("give both: the certificate chain and its private key")
    if own == (certificate is not None) and (own or tsa is None):
        raise RequestError("give CERT and KEY, or --own, or --tsa URL")
    if untimed and tsa is None:
        raise RequestError("--untimed belongs to --tsa URL")
    roots = time_roots(load_settings())
    if certificate and key:
        rotation.use_operator(_folder(), certificate, key, roots)
    elif own:
        rotation.use_own(_folder())
    if tsa is not None:
        rotation.use_stamping(_folder(), Stamping(None if tsa == "none" else tsa, untimed), roots)
    _show(_keys(), json=False)


def _show(keys: Keys, *, json: bool) -> None:
    from cryptography import x509

    from kinemark.provenance.signing.rotation import retired

    signer = x509.load_pem_x509_certificate(keys.chain_pem.encode())
    said: dict[str, Any] = {
        "root": _certificate(x509.load_pem_x509_certificate(keys.root_pem.encode())),
        "signer": _certificate(signer) | {"operators_own": keys.anchor_pem != keys.root_pem},
        "before": [_certificate(one) for one in retired(_folder())],
        "revoked": {f"{serial:x}": since.isoformat() for serial, since in keys.anchors[0].revoked.items()},
        "tsa": keys.stamping.url,
        "untimed": keys.stamping.untimed,
    }
    if json:
        print_json(said)
        return
    for name in ("root", "signer"):
        _line(name, said[name])
    for one in said["before"]:
        since = said["revoked"].get(one["serial"])
        _line(f"withdrawn since {since}" if since else "before", one)
    policy = "files may leave without a time" if keys.stamping.untimed else "nothing leaves without a time"
    out().print(f"time stamps: {keys.stamping.url} ({policy})" if keys.stamping.url else "time stamps: none")


def _line(name: str, one: dict[str, str]) -> None:
    text = f"{name}: serial {one['serial']}, until {one['until']}, SHA-256 {one['sha256']}  {one['subject']}"
    out().print(text, soft_wrap=True)


def _certificate(certificate: x509.Certificate) -> dict[str, Any]:
    from kinemark.provenance.signing.certificates import digest

    return {
        "subject": certificate.subject.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "until": certificate.not_valid_after_utc.date().isoformat(),
        "sha256": digest(certificate),
    }


def _keys() -> Keys:
    from kinemark.provenance.signing.keys import require_keys

    return require_keys(_folder())


def _folder() -> Path:
    from kinemark.settings import load_settings

    return load_settings().keys_dir
