"""Sentence frames: the order in which the parts of a caption stand, and the words between them.

A frame is a string with slots in braces. A slot that has nothing to say is empty; words that make sense only with their
slot stand with it in square brackets, one slot to a bracket, and disappear with it.

| slot | example |
|---|---|
| act, act_there | a red car drives left; the same with the place: a red car drives left through the city |
| shot, shot_there | a red car driving left; the same with the place |
| bare, bare_there | a red car drive left; the same with the place |
| where, place | through the city; the city |
| moment, moment_s | at dusk in the rain; it is dusk and rain is falling |
| when, when_s, weather, weather_s | the two halves of a moment |
| body, camera, camera_n, look, look_s | a filled frame; the camera pans left; pan left; neon style; the style is neon |
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORT: Final = (
    "{act_there} {moment}",
    "{act_there}[, {moment}]",
    "[{moment}, ]{act_there}",
    "{shot_there} {moment}",
    "{shot_there}[, {moment}]",
    "watch {bare_there} {moment}",
    "{act} {moment} {where}",
    "{shot} {moment} {where}",
    "{shot}[, {place}][, {moment}]",
    "[{place}, ]{shot}[, {moment}]",
    "{act_there}[, {when}][, {weather}]",
    "[{when} ]{shot_there}[, {weather_s}]",
    "{act} {where}[, {weather_s}] {when}",
    "a video of {shot_there} {moment}",
    "a clip of {shot_there}[, {moment}]",
    "animate {shot_there} {moment}",
    "show {shot_there} {moment}",
)
DETAILED: Final = (
    "{act_there}. [{moment_s}]",
    "{act_there}. [{when_s}]. [{weather_s}]",
    "[{moment_s}]. {act_there}",
    "[the setting is {place}]. {act}. [{moment_s}]",
    "[the scene is {place}]. [{moment_s}]. {act}",
    "[this is {place}] {when}. [{weather_s}]. {act}",
    "[{weather_s}]. {act_there} {when}",
    "[{weather_s}] {where}: {act} {when}",
    "[{weather_s} and ]{act_there} {when}",
    "[{when_s}]. {act_there} {weather}",
    "{act_there} {when}, [and {weather_s}]",
    "{act_there} {when} [while {weather_s}]",
    "[in the background is {place}]. {act} {moment}",
    "a video in which {act_there} {moment}",
    "a short clip: {act_there}. [{moment_s}]",
    "[{moment_s}]: {act_there}",
    "[the scene shows {place}]. [{weather_s}] {when}. {act}",
)
PARAPHRASED: Final = (
    "there is {shot_there} {moment}",
    "we see {shot_there} {moment}",
    "watch as {act_there} {moment}",
    "[{where}, ]{act} {moment}",
    "[{where} ]{moment}, {act}",
    "[{moment}, ][{where}, ]{act}",
    "[picture {place}]: {act} {moment}",
    "[imagine {place} ]{moment}: {act}",
    "[{place}] {moment}, with {shot}",
    "let {bare_there} {moment}",
    "make {bare_there}[, {moment}]",
    "show me {shot_there} {moment}",
    "please make a video of {shot_there} {moment}",
    "I want to see {shot_there} {moment}",
    "a scene of {shot_there} {moment}",
    "footage of {shot_there} {moment}",
    "an animation of {shot_there}[, {moment}]",
    "a view of {shot_there}[, {moment}]",
    "[{when} ]we can see how {act_there} {weather}",
    "[{weather}, ]{act_there} {when}",
    "look how {act_there} {moment}",
    "in this clip {act_there} {moment}",
    "generate a clip of {shot_there} {moment}",
    "[{moment}, ]there is {shot_there}",
)
#: How the camera and the look join the rest.
WRAPS: Final = (
    "{body}[, {camera}][, {look}]",
    "{body}[, {look}][, {camera}]",
    "{body}[, {camera_n}][, {look}]",
    "{body}[. {camera}][. {look_s}]",
    "{body}[. {look_s}][. {camera}]",
    "[{look}: ]{body}[, {camera_n}]",
    "[{camera_n}: ]{body}[, {look}]",
    "[{look}, ]{body}[. {camera}]",
    "[{camera_n}, ]{body}[. {look_s}]",
    "{body}[ while {camera}][, {look}]",
    "{body}[ as {camera}][. {look_s}]",
    "[{camera}]. [{look_s}]. {body}",
    "[{look_s}]. {body}[ and {camera}]",
    "{body}[ {look}][, {camera_n}]",
)
#: The one frame for a caption that says nothing of a subject.
SCENERY: Final = "[{place} ]{moment}"

_GROUP = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


def slots(frame: str) -> list[str]:
    """The names of a frame's slots, in order."""
    return _SLOT.findall(frame)


def fill(frame: str, parts: Mapping[str, str]) -> str:
    """Put the parts into their slots, drop the brackets whose slot is empty, and tidy spaces and punctuation."""

    def group(match: re.Match[str]) -> str:
        inner = match.group(1)
        return inner if all(parts[name] for name in _SLOT.findall(inner)) else ""

    return tidy(_SLOT.sub(lambda match: parts[match.group(1)], _GROUP.sub(group, frame)))


def tidy(text: str) -> str:
    """Close the gaps that empty slots leave: doubled spaces, doubled or leading punctuation."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r" (?=[,.;:])", "", text)
    text = re.sub(r"[,.;:]+(?=[.])|[,;:]+(?=[,;:])", "", text)
    text = re.sub(r"(?<=\.)[,;:.]+", "", text)
    return text.strip(" ,.;:")
