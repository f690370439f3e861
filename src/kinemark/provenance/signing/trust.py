"""Whom this installation believes besides itself, in `settings.home / "trust"`.

| file | what |
|---|---|
| NAME.pem | an operator's root certificate: files signed under it are recognised as theirs |
| NAME.crl | the certificates that this operator withdrew, signed by that root |
| NAME.json | which signers under that root are theirs, and where their resolution service answers |
| time/NAME.pem | the root certificate of a time stamping authority: its times are believed, nothing else |
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinemark.errors import FailureError, RequestError
from kinemark.provenance.signing.anchors import (
    Anchor,
    read_revocations,
    require_newer,
    serials_from_json,
    serials_to_json,
)
from kinemark.provenance.signing.certificates import digest, read_chain, require_root, to_pem
from kinemark.provenance.signing.operators import Operator, read_document

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.settings import Settings

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Trusted:
    """Somebody who was added.

    Attributes:
        name: what they are called here.
        root_pem: their root certificate, PEM.
        digest: the SHA-256 of that.
        time: whether only their time stamps are believed.
        serials: the only signers under the root that are theirs; None for all.
        resolver: address of their resolution service, if one is known.
    """

    name: str
    root_pem: str
    digest: str
    time: bool = False
    serials: frozenset[int] | None = None
    resolver: str | None = None


def trusted(settings: Settings) -> list[Trusted]:
    """Everybody who was added, by name; operators first.

    Raises:
        FailureError: a file in the folder cannot be read as a certificate.
    """
    found = []
    for time in (False, True):
        for path in sorted(_folder(settings, time=time).glob("*.pem")):
            try:
                pem = path.read_text()
                found.append(
                    Trusted(path.stem, pem, digest(read_chain(pem.encode(), str(path))[0]), time, *_said(path))
                )
            except (OSError, ValueError, TypeError, KeyError, RequestError) as error:
                raise FailureError(
                    f"cannot read the added root {path}: {error}; remove it (kinemark trust remove {path.stem}) and "
                    "add it again"
                ) from error
    return found


def operator_anchors(settings: Settings) -> list[Anchor]:
    """What the files of operators are trusted under, each named `operator:NAME`.

    Raises:
        FailureError: a file in the folder cannot be read.
    """
    anchors = []
    for operator in trusted(settings):
        if operator.time:
            continue
        path, root = _folder(settings) / f"{operator.name}.crl", read_chain(operator.root_pem.encode(), operator.name)
        try:
            revoked = read_revocations(path.read_bytes(), root[0], str(path)) if path.is_file() else {}
        except (OSError, RequestError) as error:
            raise FailureError(f"{error}; give it again: kinemark trust update {operator.name} LIST") from error
        anchors.append(Anchor(f"operator:{operator.name}", operator.root_pem, revoked, operator.serials))
    return anchors


def time_roots(settings: Settings) -> str:
    """The root certificates under which time stamps are believed, PEM; empty if there are none."""
    return "".join(authority.root_pem for authority in trusted(settings) if authority.time)


def add(name: str, source: Path, settings: Settings, *, time: bool = False) -> Trusted:
    """Believe what is signed under a root from now on.

    Args:
        name: what to call them.
        source: their root certificate (PEM), or the document that lies at their /.well-known/kinemark.json.
        settings: where it is kept.
        time: believe only the time stamps that the root issues.

    Raises:
        RequestError: the name or the certificate cannot be used, or the name or the root is there already.
        FailureError: the folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(f"the name is {name!r}; use 1 to 63 lower-case letters, digits and hyphens")
    text, what = _read(source), str(source)
    said = read_document(text, what) if text.lstrip().startswith(b"{") else Operator(text.decode("latin-1"))
    chain = read_chain(said.root_pem.encode(), what)
    certificate = chain[-1]
    require_root(certificate, what)
    for known in trusted(settings):
        if known.name == name or known.digest == digest(certificate):
            raise RequestError(
                f"{known.name} is trusted already (SHA-256 {known.digest[:16]}...); "
                f"remove it first: kinemark trust remove {known.name}"
            )
    added = Trusted(name, to_pem(certificate), digest(certificate), time, said.serials, said.resolver)
    path = _folder(settings, time=time) / f"{name}.pem"
    if said.revoked_pem is not None:
        read_revocations(said.revoked_pem.encode(), certificate, what)
        _write(path.with_suffix(".crl"), said.revoked_pem.encode())
    if said.serials is not None or said.resolver is not None:
        beside = {"signers": serials_to_json(said.serials), "resolver": said.resolver}
        _write(path.with_suffix(".json"), json.dumps(beside).encode())
    _write(path, added.root_pem.encode())
    return added


def update(name: str, revoked: Path, settings: Settings) -> int:
    """Take over an operator's list of withdrawn certificates; returns how many it names.

    Raises:
        RequestError: nobody of that name was added, or the list is not theirs, or older than the known one.
        FailureError: the folder cannot be written.
    """
    path = _existing(name, settings)
    if path.parent != _folder(settings):
        raise RequestError(f"{name} stamps times; withdrawn certificates are an operator's")
    text, root = _read(revoked), read_chain(path.read_bytes(), name)[0]
    found = read_revocations(text, root, str(revoked))
    known = path.with_suffix(".crl")
    if known.is_file():
        require_newer(text, known.read_bytes(), root, str(revoked))
    _write(known, text)
    return len(found)


def remove(name: str, settings: Settings) -> None:
    """Trust it no longer.

    Raises:
        RequestError: nobody of that name was added.
    """
    path = _existing(name, settings)
    path.unlink()
    for suffix in (".crl", ".json"):
        path.with_suffix(suffix).unlink(missing_ok=True)


def _said(path: Path) -> tuple[frozenset[int] | None, str | None]:
    """Signers and resolver of an operator, from the file beside their root."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None, None
    said = json.loads(beside.read_text())
    return serials_from_json(said["signers"]), said["resolver"]


def _existing(name: str, settings: Settings) -> Path:
    for time in (False, True):
        path = _folder(settings, time=time) / f"{name}.pem"
        if _NAME.fullmatch(name) and path.is_file():
            return path
    known = ", ".join(one.name for one in trusted(settings)) or "nobody"
    raise RequestError(f"nobody named {name!r} was added; there is: {known}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror or error}; check the name") from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise FailureError(f"cannot write to {path.parent}: {error.strerror or error}; check the folder") from error


def _folder(settings: Settings, *, time: bool = False) -> Path:
    return settings.home / "trust" / ("time" if time else "")
