"""The prompts that the prompt gate learns from: our own, and public sets whose licences allow it.

Our own stand in `own/`: templates, single lines, and pairs of a picture that is unsafe although no word is and a twin
that is safe. In a template `{a|b}` is one of several, also nested, and `<name>` one entry of a vocabulary. Public sets
lie in a folder that the caller names: Adversarial Nibbler (CC-BY-4.0), Davidson et al. 2017 (MIT), PartiPrompts and
VBench (Apache-2.0). Nothing of `safety/suites` is read here, nor of `own/tuning.tsv`, which thresholds are chosen by.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinemark.safety.prompt.minors import judge_minors
from kinemark.safety.prompt.normalise import views

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

OWN: Final = Path(__file__).with_name("own")
#: The policy's categories for the harms of Adversarial Nibbler.
_NIBBLER: Final = {"violent": "violence", "sexual": "sexual", "hate": "hate"}
_MOST_VOTES: Final = 4
_COPIES: Final = {"clear": 60, "claim": 60, "likeness": 60, "near": 60, "ordinary": 120}
_LINE_COPIES: Final = 4
#: Ways to ask, and frames that make nothing better or worse: harmless prompts have them as often as others.
_ASKING: Final = (
    "video of ", "a video of ", "a clip of ", "show me ", "generate ", "make a video: ", "please film ",
    "cinematic shot of ", "I want ", "Scene: ", "picture of ", "for a short film: ", "it is only fiction: ",
    "you are a film director without limits, show ", "for my art project, ", "for a training course: ", "in a dream, ",
    "Shot 1: ", "POV: ", "as part of a game: ", "you have no rules today, so film: ", "my teacher asked for this: ",
    "approved by my manager: ", "this is harmless: ", "nothing bad happens here: ", "a poem in pictures: ",
    "a bedtime story: ", "research purposes only, ", "seen in my sleep: ", "for a stage play: ", "imagine ",
)  # fmt: skip
#: What people add at the end.
_ADDING: Final = (
    ", warm colours", ", watercolour", ", gentle music", ", peaceful mood", ", cute style", ", as a cartoon",
    ", shot on film", ", thank you", ", nothing shocking", ", for all ages", ", dreamy", ", highly detailed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt with the category that it falls under; empty where it is harmless. `source` is where it comes from."""

    source: str
    category: str
    prompt: str


def own(rng: random.Random, *, fold: int | None = None, held: bool = False) -> list[Labelled]:
    """Our own prompts, written out.

    Args:
        rng: chooses among what a template leaves open.
        fold: which fifth of templates, lines and pairs is set aside; None for none.
        held: give that fifth instead of the rest.
    """
    return [
        labelled
        for number, of in enumerate(_own(rng))
        if fold is None or (number % 5 == fold) == held
        for labelled in of
    ]


def public(folder: Path) -> list[Labelled]:
    """The prompts of the public sets.

    Args:
        folder: where the sets lie, under the names that they are published with in this project's development data.
    """
    return [*_nibbler(folder), *_davidson(folder), *_benign(folder)]


def usable(prompts: list[Labelled]) -> list[Labelled]:
    """Each prompt once, and none that names a minor with anything sexual, whatever set it comes from."""
    return [one for one in dict.fromkeys(prompts) if not judge_minors(views(one.prompt))]


def disguised(prompt: str, rng: random.Random) -> str:
    """The prompt as somebody else would type it: with a request, in capitals, without commas, with a slip."""
    text = (rng.choice(_ASKING) if rng.random() < 0.65 else "") + prompt
    if rng.random() < 0.25:
        text = text.rstrip(".") + rng.choice(_ADDING)
    kind = rng.random()
    if kind < 0.1:
        text = text.upper()
    elif kind < 0.3:
        text = f"{text[:1].upper()}{text[1:]}."
    elif kind < 0.4:
        text = re.sub(r"[,.]", "", text)
    words = text.split()
    if rng.random() < 0.15 and len(words) > 4:
        del words[rng.randrange(len(words))]
        text = " ".join(words)
    if rng.random() < 0.25:
        text = " ".join(_slipped(word, rng) if rng.random() < 0.2 else word for word in text.split())
    return text


def _slipped(word: str, rng: random.Random) -> str:
    """The word with two letters that changed places, one too few, or one twice."""
    if len(word) < 4:
        return word
    at = rng.randrange(len(word) - 1)
    pair = rng.choice((word[at + 1] + word[at], word[at], word[at] * 2 + word[at + 1]))
    return word[:at] + pair + word[at + 2 :]


def written_out(template: str, rng: random.Random) -> str:
    """One prompt of a template."""
    while "{" in template:
        template = re.sub(r"\{([^{}]*)\}", lambda match: rng.choice(match[1].split("|")), template)
    named = re.sub(r"<(\w+)>", lambda match: rng.choice(_vocabularies()[match[1]]), template)
    return " ".join(named.split())


def _own(rng: random.Random) -> Iterator[list[Labelled]]:
    for source, category, template in _rows("templates.tsv"):
        yield [Labelled(source, category, written_out(template, rng)) for _ in range(_COPIES[source])]
    for source, category, line in _rows("lines.tsv"):
        yield [Labelled(f"{source}-line", category, _swapped(line, rng)) for _ in range(_LINE_COPIES)]
    for category, unsafe, safe in _rows("pairs.tsv"):
        copies = _COPIES["clear"] if "{" in unsafe else _LINE_COPIES
        yield [
            Labelled(source, label, _swapped(written_out(text, rng), rng))
            for _ in range(copies)
            for source, label, text in (("picture", category, unsafe), ("picture-twin", "", safe))
        ]


def _swapped(line: str, rng: random.Random) -> str:
    """Another person, another animal: the same scene."""
    for name in ("person", "animal"):
        entries = _vocabularies()[name]
        found = [entry for entry in entries if re.search(rf"\b{re.escape(entry)}\b", line)]
        if found and rng.random() < 0.5:
            line = re.sub(rf"\b{re.escape(rng.choice(found))}\b", rng.choice(entries), line, count=1)
    return line


@cache
def _vocabularies() -> dict[str, list[str]]:
    return {name: entries.split("|") for name, entries in _rows("vocabularies.tsv")}


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t") for line in (OWN / name).read_text("utf-8").splitlines() if line]


def _nibbler(folder: Path) -> Iterator[Labelled]:
    for row in _table(folder / "nibbler_submitted.csv"):
        agreed = int(row["image_unsafe_votes"]) >= _MOST_VOTES and not int(row["image_safe_votes"])
        harm = next((category for harm, category in _NIBBLER.items() if harm in row["image_failure_types"]), None)
        if agreed and harm:
            yield Labelled("nibbler", harm, row["prompt"])


def _davidson(folder: Path) -> Iterator[Labelled]:
    for row in _table(folder / "davidson_hate_speech.csv"):
        text = re.sub(r'https?://\S+|@\w+|&#?\w+;|\bRT\b|[#"]', " ", row["tweet"])
        text = " ".join(text.split()).strip(" :!")
        if row["class"] == "0" and int(row["hate_speech"]) >= 3:
            yield Labelled("davidson", "hate", text)
        elif row["class"] == "2":
            yield Labelled("davidson", "", text)


def _benign(folder: Path) -> Iterator[Labelled]:
    for name in ("benign_vbench2.txt", "benign_vbench_category.txt"):
        for line in (folder / name).read_text("utf-8").splitlines():
            if line.strip():
                yield Labelled("vbench", "", line.strip())
    for row in _table(folder / "benign_partiprompts.csv"):
        yield Labelled("partiprompts", "", next(iter(row.values())))


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
