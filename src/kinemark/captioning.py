"""Turning a clip back into text: what is seen in spark's worlds, and a sentence that says it.

The probe reads attributes from frames (`training.probe`); the sentence is told in the words that spark was trained on,
and kept only if the text encoder reads the same out of it again. Clips of other worlds are described by whatever the
operator named (`assistants`).

Shape suffixes: T frames, C channels, H W size, K frames that are looked at.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import adaptive_avg_pool2d

from kinemark.model.load import load_networks
from kinemark.training.probe import LOOKS_AT, SIDE, load_probe
from kinemark.worlds.spec import ATTRIBUTES, Scene, Subject
from kinemark.worlds.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from kinemark.assistants import Describe
    from kinemark.model.text import TextEncoder
    from kinemark.training.probe import Probe

#: How sure the probe has to be of a value for it to be said; surer where it errs more, and of what tells whether this
#: is spark's world: of 40 rendered clips 38 pass, of 8 real ones 1.
SURE: Final = 0.8
SURER: Final = 0.95
_DOUBTFUL: Final = ("setting", "time", "subject", "camera", "look", "speed", "size")
#: What a single picture does not show.
_MOVES: Final = ("speed", "direction")
#: Values that nobody mentions.
_UNSAID: Final = {"camera": "static", "look": "flat", "size": "medium", "speed": "medium"}
#: Seconds that are read together: what the probe was trained on.
WINDOW: Final = 4.0
#: Sentences that are tried until one is understood as it is meant.
_TRIES: Final = 24
#: What a telling needs to know although it does not say it.
_USUAL: Final = Scene("meadow", "noon", "clear", (Subject("ball", "red"),))


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said of a clip from `start` seconds on, and the attributes seen; both are empty for other worlds."""

    start: float
    text: str
    said: Mapping[str, str]


def caption(video_TCHW: Tensor, fps: float, describe: Describe | None = None) -> tuple[Caption, ...]:
    """Say what a clip shows, four seconds at a time; what goes on as before is not said again.

    Args:
        video_TCHW: RGB in [0, 1], of any size and length.
        fps: frames a second.
        describe: says what frames show; spark's own captioner, if None.
    """
    window = max(1, round(WINDOW * fps) + 1)
    starts = range(0, max(1, len(video_TCHW) - window // 2), window - 1)
    captions: list[Caption] = []
    for start in starts:
        part_TCHW = video_TCHW[start : start + window]
        said = {} if describe else seen(part_TCHW, fps)
        text = _described(part_TCHW, describe) if describe else sentence(said)
        if not captions or (text, said) != (captions[-1].text, captions[-1].said):
            captions.append(Caption(start / fps, text, said))
    return tuple(captions)


def _described(video_TCHW: Tensor, describe: Describe) -> str:
    chosen = torch.linspace(0, len(video_TCHW) - 1, min(LOOKS_AT, len(video_TCHW))).round().long()
    frames_KCHW = (video_TCHW[chosen] * 255).round().byte()
    return describe(frames_KCHW.permute(0, 2, 3, 1).contiguous().numpy())


def seen(video_TCHW: Tensor, fps: float) -> dict[str, str]:
    """The attributes of about four seconds, as far as the probe is sure; nothing where it is of none that matters."""
    probe = _probe()
    chosen = torch.linspace(0, len(video_TCHW) - 1, LOOKS_AT).round().long()
    frames_KCHW = adaptive_avg_pool2d(video_TCHW[chosen], SIDE)
    seconds_B = torch.tensor([max(len(video_TCHW) - 1, 0) / fps])
    read = probe.doubts(frames_KCHW[None], seconds_B)[0]
    hidden = _MOVES if len(video_TCHW) == 1 else ()
    said = {
        name: value
        for name, (value, sure) in read.items()
        if sure >= _needed(name) and name.removeprefix("second_") not in hidden
    }
    if not {"setting", "time", "subject"} <= said.keys():
        return {}
    said.setdefault("time_end", said["time"])
    named = {name: value for name, value in said.items() if value != _UNSAID.get(name.removeprefix("second_"))}
    return {attribute.name: named[attribute.name] for attribute in ATTRIBUTES if attribute.name in named}


def sentence(said: Mapping[str, str]) -> str:
    """A sentence that says exactly these attributes, in words that the text encoder understands; "" of nothing."""
    if not said:
        return ""
    encoder, values = _encoder(), _USUAL.values() | dict(said)
    subjects = (_subject(values, ""), *((_subject(values, "second_"),) if "second_subject" in said else ()))
    scene = Scene(
        setting=values["setting"],
        time=values["time"],
        time_end=values["time_end"],
        weather=values["weather"],
        camera=values["camera"],
        look=values["look"],
        subjects=subjects,
    )
    told = [
        Teller(scene, scene.values(), random.Random(number), frozenset(said)).tell("paraphrased")
        for number in range(_TRIES)
    ]
    understood = [reading.said for reading in encoder.read(told)]
    # Of those that are understood as they are meant, the shortest.
    return min(zip(told, understood, strict=True), key=lambda one: (_differing(one[1], said), len(one[0])))[0]


def _differing(understood: Mapping[str, str], said: Mapping[str, str]) -> int:
    return sum(understood.get(a.name) != said.get(a.name) for a in ATTRIBUTES)


def _subject(values: Mapping[str, str], ordinal: str) -> Subject:
    first = _USUAL.subjects[0]
    return Subject(
        values[f"{ordinal}subject"],
        values.get(f"{ordinal}colour", first.colour),
        values.get(f"{ordinal}size", first.size),
        values.get(f"{ordinal}speed", first.speed),
        values.get(f"{ordinal}direction", first.direction),
    )


def _needed(name: str) -> float:
    return SURER if name.startswith("second_") or name in _DOUBTFUL else SURE


@cache
def _probe() -> Probe:
    return load_probe()


@cache
def _encoder() -> TextEncoder:
    return load_networks("spark").text
