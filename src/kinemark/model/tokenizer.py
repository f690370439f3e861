"""Prompts as words: a vocabulary of whole words, and hashed letter groups for the words that are not in it.

Every word is looked up twice: as an entry of `vocabulary.txt` (one word a line, the line number is the identity, so new
words are appended and none is ever removed), and as its groups of three letters, hashed into a small table
(Bojanowski et al., arXiv:1607.04606), with one more group for its sorted letters. A misspelt or unseen word has only
the groups, and is reported as not understood.

Shape suffixes: B batch, L words, G letter groups of a word.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
import zlib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

#: The longest prompt that the text encoder reads, in words.
MAX_WORDS: Final = 64
PAD, START, UNKNOWN = 0, 1, 2
SPECIAL: Final = 3
#: Buckets of the letter groups (0 is padding) and the most groups that a word is cut into.
GROUP_BUCKETS: Final = 1024
MAX_GROUPS: Final = 12
#: Shorter words are too near to too many others for a suggestion.
SHORTEST_SLIP: Final = 5

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(frozen=True, slots=True)
class UnknownWord:
    """A word of the prompt that is not in the vocabulary, and a word that may have been meant."""

    word: str
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A batch of prompts as numbers, each after a start token; `PAD` where a prompt is shorter than the longest."""

    ids_BL: Tensor
    groups_BLG: Tensor

    def __len__(self) -> int:
        return int(self.ids_BL.shape[0])

    def to(self, device: torch.device | str) -> Words:
        """The same words on another device."""
        return Words(self.ids_BL.to(device), self.groups_BLG.to(device))


def split_words(prompt: str) -> list[str]:
    """The words of a prompt, in lower case; punctuation is dropped and hyphens part words."""
    text = unicodedata.normalize("NFKC", prompt).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").casefold()
    return _WORD.findall(text)


@cache
def load_vocabulary() -> dict[str, int]:
    """The known words and their identities, read from the file that ships with the package."""
    lines = files("kinemark.model").joinpath("vocabulary.txt").read_text(encoding="utf-8").split()
    return {word: number for number, word in enumerate(lines, start=SPECIAL)}


@lru_cache(maxsize=65536)
def word_id(word: str) -> int:
    """The identity of a word, `UNKNOWN` if it is not in the vocabulary."""
    return load_vocabulary().get(word, UNKNOWN)


@lru_cache(maxsize=65536)
def letter_groups(word: str) -> tuple[int, ...]:
    """The buckets (1 to `GROUP_BUCKETS` - 1) of a word's groups of three letters; "^" and "$" mark its ends.

    One more group is the word with all letters but the first sorted, which two swapped letters leave as it is.
    """
    framed = f"^{word}$"
    groups = [word[0] + "~" + "".join(sorted(word[1:]))]
    groups += [framed[start : start + 3] for start in range(len(framed) - 2)]
    return tuple(1 + zlib.crc32(group.encode()) % (GROUP_BUCKETS - 1) for group in groups[:MAX_GROUPS])


def tokenize(prompts: Sequence[str]) -> Words:
    """Look the words up, padded to the longest prompt.

    Raises:
        ValueError: a prompt has more than `MAX_WORDS` words; nothing is cut off silently.
    """
    return tokenize_words([split_words(prompt) for prompt in prompts])


def tokenize_words(split: Sequence[Sequence[str]]) -> Words:
    """The same for prompts that are split already."""
    longest = max((len(words) for words in split), default=0)
    if longest > MAX_WORDS:
        raise ValueError(f"a prompt has {longest} words; at most {MAX_WORDS} are read: shorten it")
    ids = [[START, *map(word_id, words), *[PAD] * (longest - len(words))] for words in split]
    groups = torch.zeros(len(split), longest + 1, MAX_GROUPS, dtype=torch.int64)
    if longest:
        blank = (0,) * MAX_GROUPS
        rows = [
            [(letter_groups(word) + blank)[:MAX_GROUPS] for word in words] + [blank] * (longest - len(words))
            for words in split
        ]
        groups[:, 1:] = torch.tensor(rows, dtype=torch.int64)
    return Words(torch.tensor(ids, dtype=torch.int64).reshape(len(split), longest + 1), groups)


def unknown_words(prompt: str) -> tuple[UnknownWord, ...]:
    """The words that are not in the vocabulary, once each in their order, with a near one where there is one."""
    unseen = dict.fromkeys(word for word in split_words(prompt) if word_id(word) == UNKNOWN)
    return tuple(UnknownWord(word, _near(word)) for word in unseen)


def _near(word: str) -> str | None:
    """The vocabulary's closest word, if close enough to be a slip of the finger (which spares the first letter)."""
    if len(word) < SHORTEST_SLIP:
        return None
    same_start = [known for known in load_vocabulary() if known[0] == word[0]]
    matches = difflib.get_close_matches(word[:32], same_start, n=1, cutoff=0.8)
    return matches[0] if matches else None
