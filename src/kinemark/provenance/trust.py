"""Operators whose files are recognised: named root certificates in `settings.home / "trust"`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinemark.errors import FailureError, RequestError
from kinemark.provenance.certificates import digest, read_chain, require_root, to_pem

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.settings import Settings

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Operator:
    """A name, its root certificate (PEM), and the SHA-256 of that certificate."""

    name: str
    root_pem: str
    digest: str


def operators(settings: Settings) -> list[Operator]:
    """Everybody who was added, by name.

    Raises:
        FailureError: a file in the folder cannot be read as a certificate.
    """
    found = []
    for path in sorted(_folder(settings).glob("*.pem")):
        try:
            pem = path.read_text()
            found.append(Operator(path.stem, pem, digest(read_chain(pem.encode(), str(path))[0])))
        except (OSError, UnicodeDecodeError, RequestError) as error:
            raise FailureError(
                f"cannot read the added root {path}: {error}; remove it (kinemark trust remove {path.stem}) and add "
                "it again"
            ) from error
    return found


def add_operator(name: str, root: Path, settings: Settings) -> Operator:
    """Trust files under a root from now on.

    Raises:
        RequestError: the name or the certificate cannot be used, or the name or the root is there already.
        FailureError: the folder cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(f"the name is {name!r}; use 1 to 63 lower-case letters, digits and hyphens")
    try:
        chain = read_chain(root.read_bytes(), str(root))
    except OSError as error:
        raise RequestError(f"cannot read {root}: {error.strerror or error}; check the name") from error
    certificate = chain[-1] if len(chain) > 1 else chain[0]
    require_root(certificate, str(root))
    for known in operators(settings):
        if known.name == name or known.digest == digest(certificate):
            raise RequestError(
                f"{known.name} is trusted already (SHA-256 {known.digest[:16]}...); "
                f"remove it first: kinemark trust remove {known.name}"
            )
    added = Operator(name, to_pem(certificate), digest(certificate))
    folder = _folder(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = folder / f".{name}.draft"
        draft.write_text(added.root_pem)
        draft.replace(folder / f"{name}.pem")
    except OSError as error:
        raise FailureError(f"cannot write to {folder}: {error.strerror or error}; check the folder") from error
    return added


def remove_operator(name: str, settings: Settings) -> None:
    """Trust it no longer.

    Raises:
        RequestError: nobody of that name was added.
    """
    path = _folder(settings) / f"{name}.pem"
    if not _NAME.fullmatch(name) or not path.is_file():
        known = ", ".join(file.stem for file in sorted(_folder(settings).glob("*.pem"))) or "nobody"
        raise RequestError(f"nobody named {name!r} was added; there is: {known}")
    path.unlink()


def _folder(settings: Settings) -> Path:
    return settings.home / "trust"
