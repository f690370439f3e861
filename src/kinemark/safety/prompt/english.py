"""English words, as far as the reader knows them whole: to tell writing from rubbish, and a slip from a word."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from kinemark.errors import FailureError
from kinemark.safety.prompt.meaning import PIECES_FILE, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD: Final = re.compile(r"[a-z]{3,}")
#: Shorter words are too often a slip of another.
_LEAST: Final = 4


@cache
def english() -> frozenset[str]:
    """Words of three letters or more, in small letters.

    Raises:
        FailureError: the reader's list of pieces is missing.
    """
    path = WEIGHTS / PIECES_FILE
    try:
        return frozenset(word for word in path.read_text("utf-8").split("\n") if _WORD.fullmatch(word))
    except OSError as error:
        raise FailureError(
            f"cannot read the prompt gate's words {path}: {error}. Install the package again."
        ) from error


def readable(text: str) -> float:
    """The share of English words among those of three letters or more; 0 where there are fewer than two."""
    words = _WORD.findall(text.lower())
    return sum(word in english() for word in words) / len(words) if len(words) > 1 else 0.0


@cache
def unslipped(word: str) -> str:
    """The English word of which this is a slip of the keyboard; the word itself if it is one, or of none.

    Slips are two letters that changed places, a letter twice, and a letter too few.
    """
    small = word.lower()
    if len(small) < _LEAST or not small.isascii() or not small.isalpha() or small in english():
        return word
    return next((other for other in _meant(small) if other in english()), word)


def _meant(word: str) -> Iterator[str]:
    for at in range(len(word) - 1):
        yield word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    for at in range(len(word) - 1):
        if word[at] == word[at + 1]:
            yield word[:at] + word[at + 1 :]
    for at in range(1, len(word)):
        for letter in "etaoinsrhldcumfpgwybvkxjqz":
            yield word[:at] + letter + word[at:]
