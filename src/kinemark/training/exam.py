"""The fixed prompts that a model is evaluated on.

Question number i of a group is drawn from (seed, group, i) alone: the list is the same whoever asks, and a longer list
begins with a shorter one. Nobody picks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kinemark.worlds.captions import STYLES, caption
from kinemark.worlds.spec import PLAIN_MIX, SceneMix, sample_scene

if TYPE_CHECKING:
    from kinemark.worlds.spec import Scene

#: "Everything right" means these.
SIX: Final = ("setting", "time", "weather", "subject", "colour", "direction")
#: What a prompt states only where it is another value than this, because nobody says it otherwise.
_USUAL: Final = {"camera": "static", "look": "flat"}


@dataclass(frozen=True, slots=True)
class Group:
    """A kind of question: which scenes are asked for."""

    name: str
    mix: SceneMix
    held_out: bool


#: One subject, plain look, still camera, constant light: the headline.
PLAIN: Final = Group("plain", PLAIN_MIX, held_out=False)
#: The same with compositions that no training clip shows.
HELD_OUT: Final = Group("held_out", PLAIN_MIX, held_out=True)
#: Two subjects, cameras that move, other looks, light that changes: reported apart.
WIDE: Final = Group(
    "wide",
    SceneMix(one_subject=0.4, plain_look=0.4, static_camera=0.3, constant_time=0.4),
    held_out=False,
)


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, the scene that it describes, and what exactly it states of it ({attribute: value}).

    A prompt states at least the six, a camera that moves, a look that is not flat, and the same of a second subject.
    """

    scene: Scene
    prompt: str
    said: dict[str, str]
    seed: int


def draw_questions(group: Group, n: int, seed: int = 0) -> list[Question]:
    """The first `n` questions of a group."""
    return [_draw(group, random.Random(f"kinemark {group.name} {seed} {index}")) for index in range(n)]


def _draw(group: Group, rng: random.Random) -> Question:
    scene = sample_scene(rng, group.mix, held_out=group.held_out)
    style = rng.choice(STYLES)
    wanted = {*SIX, *(name for name, usual in _USUAL.items() if scene.values()[name] != usual)}
    if len(scene.subjects) > 1:
        wanted |= {"second_subject", "second_colour", "second_direction"}
    told = caption(scene, rng, style)
    while not wanted <= told.said.keys():
        told = caption(scene, rng, style)
    said = told.said | {"count": str(len(scene.subjects))}
    return Question(scene, told.text, said, rng.getrandbits(32))
