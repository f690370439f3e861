"""A text as pieces of words from a fixed list: WordPiece, as BERT reads (Devlin et al. 2019, arXiv:1810.04805, 4.3).

Lower case, accents dropped, punctuation apart; then the longest known piece first, from the left.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

UNKNOWN: Final = "[UNK]"
START: Final = "[CLS]"
STOP: Final = "[SEP]"
_INSIDE: Final = "##"
_WORD: Final = re.compile(r"[^\W_]+|[^\w\s]|_")
_LONGEST_WORD: Final = 100


@dataclass(frozen=True)
class WordPieces:
    """The pieces by id; those that begin with ## stand inside a word."""

    texts: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> WordPieces:
        """Read a list of pieces, one a line, in the order of the ids."""
        return cls(tuple(path.read_text("utf-8").removesuffix("\n").split("\n")))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of every piece."""
        return {text: id_ for id_, text in enumerate(self.texts)}

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of a text, without start and stop. A word that cannot be written is one unknown."""
        plain = unicodedata.normalize("NFD", text.lower())
        plain = "".join(char for char in plain if unicodedata.category(char) != "Mn")
        return [id_ for word in _WORD.findall(plain) for id_ in self._word(word)]

    def _word(self, word: str) -> list[int]:
        known, pieces, start = self.ids, [], 0
        if len(word) > _LONGEST_WORD:
            return [known[UNKNOWN]]
        while start < len(word):
            inside = _INSIDE if start else ""
            ends = (end for end in range(len(word), start, -1) if inside + word[start:end] in known)
            end = next(ends, None)
            if end is None:
                return [known[UNKNOWN]]
            pieces.append(known[inside + word[start:end]])
            start = end
        return pieces
