"""What a scene is: a small, typed vocabulary, and batches of scenes as integer tensors.

A `Scene` is complete: together with a time it determines every pixel (`worlds.render`) and what may truthfully be said
about it (`worlds.captions`). Everything that has no name here (where the hills stand, which way a tree leans) is drawn
from `Scene.seed`.

Shape suffixes: B batch, A attribute (the order of `ATTRIBUTES`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.held_out import load_held_out

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from torch import Tensor

SETTINGS: Final = ("sea", "lake", "beach", "desert", "meadow", "forest", "snow", "city", "mountains")
TIMES: Final = ("dawn", "noon", "sunset", "dusk", "night")
WEATHERS: Final = ("clear", "cloudy", "rain", "snowfall", "fog")
CAMERAS: Final = ("static", "pan left", "pan right", "zoom in", "zoom out", "follow")
LOOKS: Final = ("flat", "paper", "neon")

AIR: Final = ("bird", "balloon", "kite", "plane", "butterfly")
GROUND: Final = ("car", "ball", "rabbit", "dog", "train", "robot")
WATER: Final = ("sailboat", "duck", "whale")
KINDS: Final = AIR + GROUND + WATER

COLOURS: Final = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "white", "black")
SIZES: Final = ("small", "medium", "large")
SPEEDS: Final = ("slow", "medium", "fast")
#: "up" is rising for what flies, and away into the distance (up the picture, shrinking) for what does not; "down" is
#: sinking, or coming closer (down the picture, growing).
DIRECTIONS: Final = ("left", "right", "up", "down")

#: What the light does during a clip: (time at the start, time at the end). A constant time is a pair with itself.
TIME_CHANGES: Final = (("night", "dawn"), ("dawn", "noon"), ("noon", "sunset"), ("sunset", "dusk"), ("dusk", "night"))

WATER_SETTINGS: Final = ("sea", "lake")
MAX_SUBJECTS: Final = 2


@dataclass(frozen=True, slots=True)
class Attribute:
    """One named choice of a scene; its values are listed in the order of their codes."""

    name: str
    values: tuple[str, ...]


def _subject_attributes(ordinal: str) -> tuple[Attribute, ...]:
    return (
        Attribute(f"{ordinal}subject", KINDS),
        Attribute(f"{ordinal}colour", COLOURS),
        Attribute(f"{ordinal}size", SIZES),
        Attribute(f"{ordinal}speed", SPEEDS),
        Attribute(f"{ordinal}direction", DIRECTIONS),
    )


#: Every attribute, in the order of the columns of `SceneBatch.codes_BA`.
ATTRIBUTES: Final = (
    Attribute("setting", SETTINGS),
    Attribute("time", TIMES),
    Attribute("time_end", TIMES),
    Attribute("weather", WEATHERS),
    Attribute("camera", CAMERAS),
    Attribute("look", LOOKS),
    *_subject_attributes(""),
    *_subject_attributes("second_"),
)
COLUMN: Final = {attribute.name: column for column, attribute in enumerate(ATTRIBUTES)}
#: The code of an attribute that a scene does not have (those of a second subject that is not there).
ABSENT: Final = -1


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that moves. Values are the words of `KINDS`, `COLOURS`, `SIZES`, `SPEEDS`, `DIRECTIONS`."""

    kind: str
    colour: str
    size: str = "medium"
    speed: str = "medium"
    direction: str = "right"


@dataclass(frozen=True, slots=True)
class Scene:
    """A whole scene. `subjects` holds one or two; `time_end` equals `time` unless the light changes."""

    setting: str
    time: str
    weather: str
    subjects: tuple[Subject, ...]
    time_end: str = ""
    camera: str = "static"
    look: str = "flat"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.time_end:
            object.__setattr__(self, "time_end", self.time)
        if not 1 <= len(self.subjects) <= MAX_SUBJECTS:
            raise ValueError(f"a scene has 1 to {MAX_SUBJECTS} subjects, not {len(self.subjects)}")
        self.codes()

    def values(self) -> dict[str, str]:
        """The scene as {attribute name: value}; a second subject that is not there is left out."""
        values = {
            "setting": self.setting,
            "time": self.time,
            "time_end": self.time_end,
            "weather": self.weather,
            "camera": self.camera,
            "look": self.look,
        }
        for ordinal, subject in zip(("", "second_"), self.subjects, strict=False):
            values |= {
                f"{ordinal}subject": subject.kind,
                f"{ordinal}colour": subject.colour,
                f"{ordinal}size": subject.size,
                f"{ordinal}speed": subject.speed,
                f"{ordinal}direction": subject.direction,
            }
        return values

    def codes(self) -> list[int]:
        """The scene as one integer for each of `ATTRIBUTES`; ValueError for a word that is not in the vocabulary."""
        values = self.values()
        codes = []
        for attribute in ATTRIBUTES:
            value = values.get(attribute.name)
            if value is not None and value not in attribute.values:
                raise ValueError(f"{attribute.name} is {value!r}; allowed: {', '.join(attribute.values)}")
            codes.append(ABSENT if value is None else attribute.values.index(value))
        return codes

    def is_held_out(self) -> bool:
        """True if a subject is in a pairing that no training clip shows (`held_out.json`)."""
        held_out = load_held_out()
        return any(
            (s.kind, s.colour) in held_out.subject_colour or (s.kind, self.setting) in held_out.subject_setting
            for s in self.subjects
        )


@dataclass(frozen=True, slots=True)
class SceneBatch:
    """Scenes as tensors, for the renderer: attribute codes (int64, `ABSENT` = -1) and a seed each (int64)."""

    codes_BA: Tensor
    seed_B: Tensor

    def __len__(self) -> int:
        return int(self.codes_BA.shape[0])

    def column(self, name: str) -> Tensor:
        """The codes `[B]` of one attribute."""
        return self.codes_BA[:, COLUMN[name]]

    def to(self, device: torch.device | str) -> SceneBatch:
        """The same scenes on another device."""
        return SceneBatch(self.codes_BA.to(device), self.seed_B.to(device))


def batch_scenes(scenes: Sequence[Scene]) -> SceneBatch:
    """Pack scenes into tensors on the CPU."""
    return SceneBatch(
        torch.tensor([scene.codes() for scene in scenes], dtype=torch.int64),
        torch.tensor([scene.seed for scene in scenes], dtype=torch.int64),
    )


def kinds_for(setting: str) -> tuple[str, ...]:
    """The subjects that can be in a setting: boats are not driven through a forest."""
    return AIR + (WATER if setting in WATER_SETTINGS else GROUND)


@dataclass(frozen=True, slots=True)
class SceneMix:
    """How scenes are drawn: the share of each easy choice. The defaults are the training mix."""

    one_subject: float = 0.75
    plain_look: float = 0.80
    static_camera: float = 0.70
    constant_time: float = 0.85


#: One subject, plain look, still camera, constant light: what the headline figures are measured on.
PLAIN_MIX: Final = SceneMix(one_subject=1.0, plain_look=1.0, static_camera=1.0, constant_time=1.0)


def sample_scene(rng: random.Random, mix: SceneMix | None = None, *, held_out: bool = False) -> Scene:
    """Draw a scene: every attribute uniformly, apart from the shares in `mix`.

    With `held_out=False` no held-out composition is drawn; with True every scene has one in its first subject.
    """
    mix = mix or SceneMix()
    while True:
        scene = _draw(rng, mix)
        first_only = replace(scene, subjects=scene.subjects[:1])
        if first_only.is_held_out() if held_out else not scene.is_held_out():
            return scene


def _draw(rng: random.Random, mix: SceneMix) -> Scene:
    setting = rng.choice(SETTINGS)
    start, end = rng.choice(TIME_CHANGES)
    if rng.random() < mix.constant_time:
        start = end = rng.choice(TIMES)
    count = 1 if rng.random() < mix.one_subject else 2
    return Scene(
        setting=setting,
        time=start,
        time_end=end,
        weather=rng.choice(WEATHERS),
        subjects=tuple(
            Subject(kind, rng.choice(COLOURS), rng.choice(SIZES), rng.choice(SPEEDS), rng.choice(DIRECTIONS))
            for kind in rng.sample(kinds_for(setting), count)
        ),
        camera="static" if rng.random() < mix.static_camera else rng.choice(CAMERAS[1:]),
        look="flat" if rng.random() < mix.plain_look else rng.choice(LOOKS[1:]),
        seed=rng.getrandbits(48),
    )
