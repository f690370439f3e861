"""What a scene becomes when its prompt changes: one attribute is another, and nothing moves otherwise than before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kinemark.worlds.spec import COLOURS, SETTINGS, TIMES, WEATHERS, Scene, kinds_for

if TYPE_CHECKING:
    import random

#: What may change, and how often each does. All of it can be faded into what was, frame by frame.
CHANGES: Final = {"time": 4, "weather": 3, "setting": 2, "colour": 1}
_VALUES: Final = {"time": TIMES, "weather": WEATHERS, "setting": SETTINGS, "colour": COLOURS}


@dataclass(frozen=True, slots=True)
class Changed:
    """The name of what changed, and the scene afterwards."""

    name: str
    scene: Scene


def changed(scene: Scene, rng: random.Random) -> Changed:
    """Draw a change that is one, and that leads to no composition that is held out."""
    while True:
        name = rng.choices(tuple(CHANGES), tuple(CHANGES.values()))[0]
        other = _with(scene, name, rng.choice(_VALUES[name]))
        fits = all(subject.kind in kinds_for(other.setting) for subject in other.subjects)
        if other != scene and fits and not other.is_held_out():
            return Changed(name, other)


def _with(scene: Scene, name: str, value: str) -> Scene:
    match name:
        case "time":
            return replace(scene, time=value, time_end=value)
        case "weather":
            return replace(scene, weather=value)
        case "setting":
            return replace(scene, setting=value)
        case _:
            first, *others = scene.subjects
            return replace(scene, subjects=(replace(first, colour=value), *others))
