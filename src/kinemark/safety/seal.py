"""Sealing: suspected material is kept from everybody, for the one route that the law leaves.

What was given with a request that touches the rule on minors, or a block list, is encrypted at once under a key of its
own. There is no preview and no view for appeals; it is opened once, to a file, by a named person, for whoever the law
names. What was sealed, and that it was opened, stays on record.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinemark.errors import FailureError, RequestError
from kinemark.safety.envelope import decrypted, encrypted, new_key, write_private

if TYPE_CHECKING:
    from pathlib import Path


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
    id_, key = f"sealed-{secrets.token_hex(6)}", new_key()
    time = now.astimezone(dt.UTC).isoformat(timespec="seconds")
    facts = {"id": id_, "time": time, "rule": rule, "size": len(material), "opened": []}
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(folder / f"{id_}.key", key)
        write_private(folder / f"{id_}.bin", encrypted(material, key, id_))
        write_private(folder / f"{id_}.json", json.dumps(facts).encode())
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
        write_private(path, json.dumps(facts).encode())
        content, key = (folder / f"{id_}.bin").read_bytes(), (folder / f"{id_}.key").read_bytes()
        return decrypted(content, key, id_)
    except (OSError, ValueError, KeyError) as error:
        raise FailureError(f"{id_} cannot be opened: its key, its record or itself is damaged") from error
