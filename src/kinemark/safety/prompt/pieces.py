"""A text as pieces of words: the likeliest way to write it with a fixed list of pieces (unigram language model).

Kudo 2018, "Subword Regularization", section 3.1: every piece has a log probability, and the best segmentation is found
by dynamic programming over the positions of the text (Viterbi).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPACE: Final = "\u2581"
"""How a space is written in a piece."""
UNKNOWN: Final = 0
_UNKNOWN_COST: Final = -20.0


@dataclass(frozen=True)
class Pieces:
    """The pieces and their log probabilities, by id; id 0 stands for what no piece writes."""

    texts: tuple[str, ...]
    scores: tuple[float, ...]

    @classmethod
    def read(cls, path: Path) -> Pieces:
        """Read a list of pieces: one a line with its log probability after a tab, in the order of the ids."""
        lines = path.read_text("utf-8").split("\n")[:-1]
        texts, scores = zip(*(line.rsplit("\t", 1) for line in lines), strict=True)
        return cls(texts, tuple(float(score) for score in scores))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {text: id_ for id_, text in enumerate(self.texts) if id_ != UNKNOWN and text}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._ids))

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of a text. Runs that no piece writes become one `UNKNOWN`."""
        line = SPACE + unicodedata.normalize("NFKC", text).replace(" ", SPACE)
        size, known, scores = len(line), self._ids, self.scores
        best, back = [0.0] + [float("-inf")] * size, [(0, UNKNOWN)] * (size + 1)
        for start in range(size):
            reached = best[start]
            for stop in range(start + 1, min(size, start + self._longest) + 1):
                id_ = known.get(line[start:stop])
                if id_ is not None and reached + scores[id_] > best[stop]:
                    best[stop], back[stop] = reached + scores[id_], (start, id_)
            if reached + _UNKNOWN_COST > best[start + 1]:
                best[start + 1], back[start + 1] = reached + _UNKNOWN_COST, (start, UNKNOWN)
        return _merged(_path(back))


def _path(back: Sequence[tuple[int, int]]) -> list[int]:
    ids, position = [], len(back) - 1
    while position:
        position, id_ = back[position]
        ids.append(id_)
    return ids[::-1]


def _merged(ids: Sequence[int]) -> list[int]:
    return [id_ for index, id_ in enumerate(ids) if id_ != UNKNOWN or not index or ids[index - 1] != UNKNOWN]
