"""Captions: what may truthfully be said about a scene, in many ways.

`caption` chooses which attributes to say, says exactly those, and returns them next to the text, so that a caption is
also an example of how to read one. What is said is never false; what is left out is unspecified, not denied.

Rules a reader can rely on: the first subject that a text mentions is the scene's first; a plain time ("at sunset")
states that the light stays; a change of light states both of its ends. The choices of words are in `worlds.lexicon`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinemark.worlds.spec import ATTRIBUTES
from kinemark.worlds.telling import STYLES, SUBJECT_PARTS, Style, Teller

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from kinemark.worlds.spec import Scene

__all__ = ["STYLES", "Caption", "Style", "caption"]

#: A longer draft is thrown away: the text encoder reads 64 words.
MAX_CAPTION_WORDS: Final = 60

#: The share of attributes left out of a caption (those of the first subject's kind and of the defaults are below).
OMISSION: Final = {"short": 0.30, "detailed": 0.10, "paraphrased": 0.20}
#: Values that people do not mention, and how often a caption does not.
DEFAULTS: Final = {
    "size": ("medium", 0.8),
    "speed": ("medium", 0.8),
    "camera": ("static", 0.85),
    "look": ("flat", 0.85),
    "weather": ("clear", 0.5),
}
SUBJECT_UNSAID: Final = 0.02
SECOND_UNSAID: Final = 0.10
VAGUE: Final = {"short": 0.15, "detailed": 0.0, "paraphrased": 0.08}


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and what it states: {attribute name: value}, in the order of `ATTRIBUTES`."""

    text: str
    said: dict[str, str]


def caption(scene: Scene, rng: random.Random, style: Style) -> Caption:
    """Describe a scene truthfully; the same generator state gives the same caption."""
    values = scene.values()
    while True:
        keep = _choose(values, rng, style)
        text = Teller(scene, values, rng, keep).tell(style)
        if len(re.findall(r"\w+", text)) <= MAX_CAPTION_WORDS:
            return Caption(text, {a.name: values[a.name] for a in ATTRIBUTES if a.name in keep})


def _choose(values: Mapping[str, str], rng: random.Random, style: Style) -> frozenset[str]:
    """The names of the attributes to say."""
    if rng.random() < VAGUE[style]:
        candidates = ["setting", "time", "weather", "camera", "look", *(SUBJECT_PARTS if rng.random() < 0.3 else ())]
        keep = set(rng.sample(candidates, rng.choice((0, 1, 1, 2))))
        if not keep or rng.random() < 0.8:
            keep.add("subject")
    else:
        keep = {name for name in values if rng.random() >= _omission(name, values[name], style)}
        if rng.random() < SECOND_UNSAID:
            keep -= {name for name in keep if name.startswith("second_")}
        elif "second_subject" in values:
            keep |= {"subject", "second_subject"}
    keep.discard("time_end")
    return frozenset(keep | {"time_end"} if "time" in keep else keep)


def _omission(name: str, value: str, style: Style) -> float:
    attribute = name.removeprefix("second_")
    if attribute == "subject":
        return SUBJECT_UNSAID
    default, rate = DEFAULTS.get(attribute, ("", 0.0))
    return rate if value == default else OMISSION[style]
