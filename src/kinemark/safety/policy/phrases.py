r"""The small language in which the policy writes phrases, compiled to regular expressions.

| written | matches |
|---|---|
| `word` | that word, in any case |
| `behead*` | a word with that beginning |
| `a\|b*\|c` | one of several |
| `<person>` | any phrase of the vocabulary `person` |
| `<Name>` | a word that begins with a capital and is no common word |
| `#slur` | a word, or two or three, whose digest stands in the list `slur` |
| `...` | at most four words of the same sentence |
| `the?` | that word or nothing |

Expressions are linear in practice: gaps are bounded and nothing nests, so that 32,000 characters take milliseconds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

_GAP: Final = r"(?:[^\s.]+ ){0,4}"
_NAME: Final = (
    r"(?!(?:A|An|And|As|At|By|For|From|Has|Her|His|In|Is|Of|On|Or|Our|The|Their|To|Was|Who|With) )"
    r"(?-i:[A-Z]['a-z][\w']*) "
)
_NOTHING: Final = r"(?!)"
#: Longest name, in words, that a digest list can hold.
_DIGEST_WORDS: Final = 3
#: How a word that a digest list holds is written in a marked line.
_MARK: Final = "#{}"

Digests = Mapping[str, frozenset[str]]


class PhraseError(ValueError):
    """A phrase of a policy does not follow the language above."""


def word_digest(phrase: str) -> str:
    """The digest under which a policy stores a word that it should not print: 64 bits of SHA-256, lower case."""
    return hashlib.sha256(f"kinemark policy word: {' '.join(phrase.lower().split())}".encode()).hexdigest()[:16]


def mark_digests(line: str, digests: Digests) -> str:
    """Replace what the digest lists hold by `#list`, longest match first. `line` is a view of `normalise`."""
    names = {digest: name for name, entries in digests.items() for digest in entries}
    words, marked, at = line.split(), [], 0
    while at < len(words):
        for length in range(min(_DIGEST_WORDS, len(words) - at), 0, -1):
            name = names.get(word_digest(_bare(words[at : at + length])))
            if name is not None:
                marked.append(_MARK.format(name))
                break
        else:
            length = 1
            marked.append(words[at])
        at += length
    return f" {' '.join(marked)} "


def _bare(words: Iterable[str]) -> str:
    """Words without the possessive: a name is also known by "X's"."""
    return " ".join(words).removesuffix("'s")


def compile_phrases(phrases: Iterable[str], vocabularies: Mapping[str, Iterable[str]]) -> re.Pattern[str]:
    """One expression that finds any of `phrases` in a marked view; of no phrases, one that finds nothing.

    Raises:
        PhraseError: an unknown vocabulary, or an empty phrase.
    """
    return compiled(expression(phrases, vocabularies))


def expression(phrases: Iterable[str], vocabularies: Mapping[str, Iterable[str]]) -> str:
    """The source of `compile_phrases`: writing it checks the phrases, and takes a fraction of compiling it."""
    return f"(?<= )(?:{'|'.join([_phrase(phrase, vocabularies) for phrase in phrases] or [_NOTHING])})"


@cache
def compiled(source: str) -> re.Pattern[str]:
    """The expression ready for use. Most prompts never come to the exceptions of a rule, so these stay sources."""
    return re.compile(source, re.IGNORECASE)


def _phrase(phrase: str, vocabularies: Mapping[str, Iterable[str]]) -> str:
    parts = [_part(part, vocabularies) for part in phrase.split()]
    if not parts or set(phrase.split()) <= {"..."}:
        raise PhraseError(f"the phrase {phrase!r} holds no word")
    return "".join(parts)


def _part(part: str, vocabularies: Mapping[str, Iterable[str]]) -> str:
    """The expression for one part of a phrase; it ends with the space that follows a word in a view."""
    if part == "...":
        return _GAP
    if part.endswith("?"):
        return f"(?:{_part(part[:-1], vocabularies)})?"
    return f"(?:{'|'.join(_atom(atom, vocabularies) for atom in part.split('|'))})"


def _atom(atom: str, vocabularies: Mapping[str, Iterable[str]]) -> str:
    if atom == "<Name>":
        return _NAME
    if atom.startswith("<"):
        name = atom.strip("<>")
        if name not in vocabularies:
            raise PhraseError(f"unknown vocabulary <{name}>; known: {', '.join(sorted(vocabularies))}")
        return f"(?:{'|'.join(_phrase(entry, vocabularies) for entry in vocabularies[name])})"
    return re.escape(atom).replace(r"\*", r"[^\s.]*") + " "
