"""Text that says nothing about a scene of ours, so that the text encoder learns when nothing is specified."""

from __future__ import annotations

import json
import string
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

_LISTS: Final[dict[str, list[str]]] = json.loads(
    files("kinemark.training").joinpath("foreign_words.json").read_text(encoding="utf-8")
)
#: Words that no caption contains ...
NOUNS, VERBS, ADJECTIVES, EXTRAS = (_LISTS[name] for name in ("nouns", "verbs", "adjectives", "extras"))
#: ... and words that stand between any others and state nothing.
FUNCTION_WORDS: Final = _LISTS["function_words"]
PATTERNS: Final = (
    "a {n} {v} a {n}",
    "the {a} {n} {v} in the {n}",
    "a {n} {v} with a {a} {n}",
    "{n} and {n} in a {a} {n}",
    "{a} {n}, {e}",
    "a {a} {n} that {v} near the {n}",
    "my {n} {v} and then {v}",
    "please make a video of a {n} in a {n}",
    "show me how a {n} {v} the {n}",
    "i want to see the {n} of the {a} {n}",
    "{n} {n} {n}",
    "{e}, {e}, {a} {n}",
    "an animation of a {a} {a} {n}",
    "two {n} {v} on the {n}",
    "hello",
    "what is the {n} of a {n}?",
    "{g} {g} {g}",
    "{g}",
    "the {g} {v} a {g}",
)


def gibberish(rng: random.Random) -> str:
    """A word of random letters."""
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 10)))


def foreign_word(rng: random.Random) -> str:
    """A word that no caption contains, mostly a real one."""
    chance = rng.random()
    if chance < 0.2:
        return gibberish(rng)
    return rng.choice(ADJECTIVES if chance < 0.6 else NOUNS if chance < 0.85 else EXTRAS)


def foreign_noun(rng: random.Random) -> str:
    """A noun that names none of our subjects or places."""
    return gibberish(rng) if rng.random() < 0.2 else rng.choice(NOUNS)


def irrelevant_sentence(rng: random.Random) -> str:
    """A sentence that specifies nothing."""
    draws = {"{n}": NOUNS, "{v}": VERBS, "{a}": ADJECTIVES, "{e}": EXTRAS}
    pieces = rng.choice(PATTERNS).replace(",", " ,").split()
    words = [
        gibberish(rng) if piece == "{g}" else rng.choice(draws[piece]) if piece in draws else piece for piece in pieces
    ]
    return " ".join(words).replace(" ,", ",").replace("?", "")
