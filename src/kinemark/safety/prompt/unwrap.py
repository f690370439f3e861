"""Undoing encodings that hide a whole text: base64, hexadecimal, rot13, writing backwards, and pictures for words.

What is found is read beside the text, not instead of it, so a wrong guess can only add a reading.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from typing import TYPE_CHECKING, Final

from kinemark.safety.prompt.english import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE64: Final = re.compile(r"(?<![\w+/])(?:[A-Za-z0-9+/_-]{4}){3,}(?:[A-Za-z0-9+/_-]{2,3}={0,2})?(?![\w+/])")
_HEX: Final = re.compile(r"(?<!\w)(?:[0-9a-fA-F]{2}[ :]?){8,}(?!\w)")
#: A text was hidden by a change if so many of its longer words are English after it, and so many more than before.
_READABLE: Final = 0.5
_MORE: Final = 0.3
_PICTURES: Final = {"So", "Sk"}
#: Words in the names of pictograms that say nothing of what they show.
_EMPTY: Final = {"sign", "symbol", "face", "with", "black", "white", "heavy", "medium"}
_DEEP: Final = 2


def unwrapped(text: str) -> tuple[str, ...]:
    """Every distinct text that is hidden in `text`; empty for ordinary writing. One encoding may lie in another."""
    found: dict[str, None] = {}
    layer = [text]
    for _ in range(_DEEP):
        layer = [inner for outer in layer for inner in _readings(outer) if inner != text and inner not in found]
        found |= dict.fromkeys(layer)
    return tuple(found)


def _readings(text: str) -> Iterator[str]:
    for pattern, decode in ((_BASE64, _from_base64), (_HEX, _from_hex)):
        inner = pattern.sub(lambda match, decode=decode: decode(match[0]) or match[0], text)  # type: ignore[misc]
        if inner != text:
            yield inner
    least = max(_READABLE, readable(text) + _MORE)
    yield from (changed for changed in (codecs.encode(text, "rot13"), text[::-1]) if readable(changed) >= least)
    if any(unicodedata.category(char) in _PICTURES for char in text):
        yield "".join(_named(char) for char in text)


def _from_base64(written: str) -> str | None:
    plain = written.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return _as_text(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _from_hex(written: str) -> str | None:
    try:
        return _as_text(bytes.fromhex(re.sub(r"[ :]", "", written)))
    except ValueError:
        return None


def _as_text(data: bytes) -> str | None:
    """Bytes as text, if that is what they are: a long word is base64 by its letters, and decodes to rubbish."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    readable = sum(char.isalpha() or char in " ,.'!?-\n" for char in text)
    return f" {text} " if readable >= 0.9 * len(text) else None


def _named(char: str) -> str:
    if unicodedata.category(char) not in _PICTURES:
        return char
    words = unicodedata.name(char, "").lower().replace("-", " ").split()
    return f" {' '.join(word for word in words if word not in _EMPTY)} "
