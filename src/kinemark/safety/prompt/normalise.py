"""Undoing the ways in which a word is hidden from a word list.

A prompt is read in several *views*: as written, and once more for every disguise that was found in it (digits and signs
for letters, letters set apart, letters of another script, another encoding). A view is a line of words with one space
around each, where a full stop stands as a word of its own, so that a rule can be written as a phrase. The case of
letters is kept.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from kinemark.safety.prompt.english import unslipped
from kinemark.safety.prompt.unwrap import unwrapped

#: Letters of Cyrillic, Greek and small-capital alphabets that are drawn like Latin ones (a part of Unicode TS 39).
_LOOKALIKES: Final = str.maketrans(
    "аАвВеЕкКмМнНоОрРсСтТхХуУіІјЈѕЅԁԛԝһαΑβΒεΕηΗιΙκΚμΜνΝοΟρΡτΤυΥχΧıɑɡɩʏᴀᴄᴅᴇɪᴋᴍɴᴏᴘʀᴛᴜᴠᴢ",
    "aABBeEkKMMHHoOpPcCTTxXyYiIjJsSdqwhaAbBeEnHiIkKuMvNoOpPtTuYxXiagiYacdeikmnoprtuvz",
)
_LEET: Final = str.maketrans("0134578@$!|+€£", "oieastbasiitel")
_LEET_WITH_L: Final = str.maketrans("0134578@$!|+€£", "oleastbaslltel")

#: What stands behind a word and is no letter of it.
_AFTER: Final = "!|+.,"
#: What stands around a word.
_AROUND: Final = "!?.,;:()'\""
#: A text with so many words in which signs stand for letters is written that way.
_LEET_TEXT: Final = 2

_HIDDEN: Final = {"Cf", "Cc", "Cs", "Co", "Cn"}
_RUN: Final = re.compile(r"\S+")
_WORD: Final = re.compile(r"[^\W_]+(?:['@$!|+€£*][^\W_]+)*|[.!?;\n]+")
_END: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
#: Fewer words say too little to be read by themselves.
_LEAST_WORDS: Final = 3
#: Letters set apart, all by the same separator: "d r a g o n", "d.r.a.g.o.n".
_SPACED: Final = re.compile(
    r"(?<![^\W_])[^\W_](?P<apart>[ .\-_*/~]{1,3})(?:[^\W_](?P=apart))+[^\W_](?![^\W_])", re.IGNORECASE
)
#: A text with such a share of single letters is written apart, with wider gaps between words where it has any.
_APART: Final = 0.6
_GAP: Final = re.compile(r"\s{2,}")
_STRETCHED: Final = re.compile(r"([^\W\d_])\1{2,}")
#: Digits with letters that are no disguise: 4k, 3d, 90s, 1st, 10mm, 16x9, f16.
_PLAIN_NUMBER: Final = re.compile(r"\d+[a-z]{0,3}|[a-z]\d+|\d+x\d+", re.IGNORECASE)


def views(text: str) -> tuple[str, ...]:
    """Every distinct way in which `text` should be read; the first is as it was written.

    Accents are kept out of Latin words only; other scripts pass unchanged.
    """
    return tuple(dict.fromkeys(view for shown in (text, *unwrapped(text)) for view in _views(shown)))


def sentences(text: str) -> tuple[str, ...]:
    """The text with its punctuation, and where it has several sentences each of them, so that none hides among others.

    Without invisible characters, accents and lookalikes of Latin letters.
    """
    whole = _plain(text)
    parts = [part for part in _END.split(whole) if len(part.split()) >= _LEAST_WORDS]
    shown = (whole, *parts) if len(parts) > 1 else (whole,)
    return tuple(dict.fromkeys(" ".join(part.split()) for part in shown))


def _views(text: str) -> list[str]:
    plain = _plain(text)
    variants = [plain]
    variants.append(_RUN.sub(lambda match: _without_slip(match[0]), plain))
    joined = _joined(plain)
    for candidate in (joined, _STRETCHED.sub(r"\1", joined), _STRETCHED.sub(r"\1\1", joined)):
        variants += [candidate, _unleet(candidate, _LEET), _unleet(candidate, _LEET_WITH_L)]
    return [_line(variant) for variant in variants]


def _plain(text: str) -> str:
    """Compatibility forms folded, invisible characters dropped, accents and lookalikes of Latin letters undone."""
    shown = (" " if char in "\n\t\r" else char for char in unicodedata.normalize("NFKC", text))
    visible = "".join(char for char in shown if unicodedata.category(char) not in _HIDDEN)
    decomposed = unicodedata.normalize("NFD", visible.replace("’", "'"))
    unaccented = re.sub(r"(?<=[A-Za-z])[\u0300-\u036f]+", "", decomposed)
    return _undo_lookalikes(unicodedata.normalize("NFC", unaccented))


def _undo_lookalikes(text: str) -> str:
    """Replace lookalikes in words that mix scripts, and everywhere in a prompt that is otherwise Latin."""
    letters = [char for char in text if char.isalpha()]
    mostly_latin = 2 * sum(char.isascii() for char in letters) > len(letters)

    def undo(match: re.Match[str]) -> str:
        word = match.group()
        if word.isascii():
            return word
        mixed = any(char.isascii() and char.isalpha() for char in word)
        return word.translate(_LOOKALIKES) if mixed or mostly_latin else word

    return _RUN.sub(undo, text)


def _joined(text: str) -> str:
    """Letters that were set apart as words."""
    runs = text.split()
    single = sum(len(run) == 1 for run in runs)
    if single >= _APART * max(1, len(runs)) and _GAP.search(text.strip()):
        return " ".join("".join(word.split()) for word in _GAP.split(text.strip()))
    return _SPACED.sub(_join, text)


def _join(match: re.Match[str]) -> str:
    """The letters as a word; after an article, as it may be one, once more without it ("a d r a g o n")."""
    word = re.sub(r"[\W_]", "", match.group())
    return f"{word} {word[1:]}" if word[0] in "aAiI" else word


def _without_slip(word: str) -> str:
    body = word.strip(_AROUND)
    return word.replace(body, unslipped(body)) if body else word


def _unleet(text: str, table: dict[int, int]) -> str:
    """Digits and signs read as letters: in words that have both, and everywhere in a text that is written so."""
    everywhere = sum(map(_is_disguised, _RUN.findall(text))) >= _LEET_TEXT

    def undo(match: re.Match[str]) -> str:
        word = match.group()
        if everywhere or _is_disguised(word):
            return word.rstrip(_AFTER).translate(table)
        return word

    return _RUN.sub(undo, text)


def _is_disguised(word: str) -> bool:
    body = word.rstrip(_AFTER)
    return not body.isalpha() and any(char.isalpha() for char in body) and not _PLAIN_NUMBER.fullmatch(body)


def _line(text: str) -> str:
    words = ("." if not match[0].isalnum() else match for match in _WORD.findall(text))
    return f" {' '.join(words)} "
