"""Encrypting what only a few may see, and writing files that only this user reads."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from pathlib import Path

_NONCE: Final = 12


def new_key() -> bytes:
    """A key for one envelope."""
    return AESGCM.generate_key(256)


def encrypted(content: bytes, key: bytes, name: str) -> bytes:
    """The content under a key (AES-256-GCM), bound to a name."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, name.encode())


def decrypted(content: bytes, key: bytes, name: str) -> bytes:
    """What `encrypted` put away.

    Raises:
        ValueError: another key or name, or the content was changed.
    """
    try:
        return AESGCM(key).decrypt(content[:_NONCE], content[_NONCE:], name.encode())
    except InvalidTag as error:
        raise ValueError("the key does not open it") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 600, to the disk.

    Raises:
        OSError: it cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
