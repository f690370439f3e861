"""Sealing: suspected material is kept from everybody, for the one route that the law leaves.

What was given with a request that touches the rule on minors, or a block list, is encrypted at once under a key of its
own. There is no preview and no view for appeals; it is opened once, to a file, by a named person, for whoever the law
names. What was sealed, and that it was opened, stays on record.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

_NONCE: Final = 12


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is known of sealed material without opening it.

    Attributes:
        id: how it is asked for.
        time: when it was sealed.
        rule: what it touched.
        size: bytes.
        opened: who opened it, when, and for whom; empty while nobody did.
    """

    id: str
    time: str
    rule: str
    size: int
    opened: tuple[str, ...] = ()


def seal(folder: Path, material: bytes, rule: str, *, now: dt.datetime) -> Sealed:
    """Encrypt material under a new key.

    Raises:
        FailureError: it cannot be written.
    """
    id_, key, nonce = f"sealed-{secrets.token_hex(6)}", AESGCM.generate_key(256), secrets.token_bytes(_NONCE)
    time = now.astimezone(dt.UTC).isoformat(timespec="seconds")
    facts = {"id": id_, "time": time, "rule": rule, "size": len(material), "opened": []}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / f"{id_}.key", key)
        _write(folder / f"{id_}.bin", nonce + AESGCM(key).encrypt(nonce, material, id_.encode()))
        _write(folder / f"{id_}.json", json.dumps(facts).encode())
    except OSError as error:
        raise FailureError(f"cannot seal in {folder}: {error.strerror}") from error
    return Sealed(id_, time, rule, len(material))


def sealed(folder: Path) -> list[Sealed]:
    """Everything that is sealed, the oldest first.

    Raises:
        FailureError: a record is damaged.
    """
    found = []
    for path in sorted(folder.glob("sealed-*.json")):
        try:
            facts = json.loads(path.read_text("utf-8"))
            found.append(Sealed(**{**facts, "opened": tuple(facts["opened"])}))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FailureError(f"the record {path} is damaged: {error}") from error
    return sorted(found, key=lambda one: one.time)


def open_sealed(folder: Path, id_: str, *, by: str, to: str, now: dt.datetime) -> bytes:
    """The material, for the operator's legal route; that it was opened is recorded first.

    Args:
        folder: where it is sealed.
        id_: which.
        by: who opens it.
        to: for which authority or counsel, with their reference.
        now: when.

    Raises:
        RequestError: there is no such material, or a name is missing.
        FailureError: the key does not open it, or the record cannot be written.
    """
    if not by.strip() or not to.strip():
        raise RequestError("say who opens it, and for which authority or counsel")
    if id_ not in {one.id for one in sealed(folder)}:
        raise RequestError(f"nothing is sealed as {id_!r}")
    path = folder / f"{id_}.json"
    try:
        facts = json.loads(path.read_text("utf-8"))
        time = now.astimezone(dt.UTC).isoformat(timespec="seconds")
        facts["opened"].append(f"{time} by {by.strip()} for {to.strip()}")
        _write(path, json.dumps(facts).encode())
        content, key = (folder / f"{id_}.bin").read_bytes(), (folder / f"{id_}.key").read_bytes()
        return AESGCM(key).decrypt(content[:_NONCE], content[_NONCE:], id_.encode())
    except (OSError, ValueError, KeyError, InvalidTag) as error:
        raise FailureError(f"{id_} cannot be opened: its key, its record or itself is damaged") from error


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
