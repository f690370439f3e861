"""The repository of manifests: what a copy that lost its credentials can be given back.

One file a release, named by the clip's id, written before the ledger's entry; the entry holds its SHA-256, so a changed
one is never given out. Erasing an entry destroys its manifest.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from kinemark.errors import FailureError
from kinemark.provenance.signing.keys import replace_private

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.provenance.records.ledger import Entry


def keep(folder: Path, id_: str, manifest: bytes) -> str:
    """Store a manifest and return its SHA-256, hexadecimal.

    Raises:
        FailureError: it cannot be written.
    """
    path = _path(folder, id_)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_private(path, manifest)
    except OSError as error:
        raise FailureError(
            f"cannot keep the manifest in {folder}: {error.strerror or error}. Nothing was released; check free space "
            "and who owns the folder."
        ) from error
    return hashlib.sha256(manifest).hexdigest()


def kept(folder: Path, entry: Entry) -> bytes | None:
    """The manifest of a release; None where there is none, or it is not the one that was kept."""
    try:
        manifest = _path(folder, entry.id).read_bytes()
    except OSError:
        return None
    return manifest if hashlib.sha256(manifest).hexdigest() == entry.body.get("manifest_sha256") else None


def forget(folder: Path, id_: str) -> None:
    """Destroy a manifest, if there is one.

    Raises:
        FailureError: it is there and cannot be removed.
    """
    try:
        _path(folder, id_).unlink(missing_ok=True)
    except OSError as error:
        raise FailureError(
            f"cannot remove the manifest of {id_} from {folder}: {error.strerror or error}; check who owns the folder"
        ) from error


def _path(folder: Path, id_: str) -> Path:
    return folder / id_[:2] / f"{id_}.c2pa"


def active_only(store: bytes) -> bytes:
    """A manifest store without the manifests of its ingredients: its active manifest is the last (C2PA 2.4, 11.1.4).

    Raises:
        FailureError: the store is damaged.
    """
    try:
        ((kind, whole),) = _boxes(store)
        description, *manifests = _boxes(whole[8:])
    except ValueError as error:
        raise FailureError(f"the manifest store is damaged ({error})") from error
    if kind != b"jumb" or not manifests:
        raise FailureError("the manifest store is damaged (it holds no manifest)")
    content = description[1] + manifests[-1][1]
    return (8 + len(content)).to_bytes(4) + kind + content


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """(type, the whole box) of each JUMBF box (ISO 19566-5) in order.

    Raises:
        ValueError: a box does not end where it says.
    """
    boxes, start = [], 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4])
        if not 8 <= size <= len(data) - start:
            raise ValueError(f"a box of {size} bytes at {start}")
        boxes.append((data[start + 4 : start + 8], data[start : start + size]))
        start += size
    return boxes
