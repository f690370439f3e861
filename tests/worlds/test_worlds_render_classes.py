"""Every word of the vocabulary is visible: values of an attribute give clearly different pictures."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from kinemark.worlds.palette import COLOUR_RGB, HOURS
from kinemark.worlds.render import render
from kinemark.worlds.spec import COLOURS, KINDS, LOOKS, SETTINGS, TIMES, WATER, WEATHERS, Scene, Subject, batch_scenes


def still(scenes: list[Scene], size: tuple[int, int] = (64, 64)) -> Tensor:
    return render(batch_scenes(scenes), torch.full((len(scenes), 1), 0.7), size).video_BTCHW[:, 0]


def least_distance(pictures: Tensor) -> float:
    """The least mean absolute difference between two of the pictures."""
    return min((a - b).abs().mean().item() for a, b in itertools.combinations(pictures, 2))


@pytest.mark.parametrize("time", TIMES)
def test_settings_differ(time: str) -> None:
    scenes = [Scene(setting, time, "clear", (Subject("bird", "red"),), seed=3) for setting in SETTINGS]
    assert least_distance(still(scenes)) > (0.02 if time == "night" else 0.035)


@pytest.mark.parametrize("setting", SETTINGS)
def test_times_differ(setting: str) -> None:
    for weather in WEATHERS:
        scenes = [Scene(setting, time, weather, (Subject("bird", "red"),), seed=4) for time in TIMES]
        assert least_distance(still(scenes)) > 0.055


@pytest.mark.parametrize("time", TIMES)
def test_weathers_differ(time: str) -> None:
    for setting in SETTINGS:
        scenes = [Scene(setting, time, weather, (Subject("bird", "red"),), seed=5) for weather in WEATHERS]
        assert least_distance(still(scenes)) > (0.012 if time == "night" else 0.025)


@pytest.mark.parametrize("look", LOOKS)
def test_looks_differ_and_keep_the_time_apart(look: str) -> None:
    by_look = [Scene("lake", "noon", "clear", (Subject("duck", "red"),), look=name) for name in LOOKS]
    assert least_distance(still(by_look)) > 0.02
    by_time = [Scene("sea", time, "clear", (Subject("duck", "red"),), look=look) for time in TIMES]
    assert least_distance(still(by_time)) > 0.035


def test_kinds_differ_in_outline() -> None:
    scenes = [Scene("sea" if k in WATER else "desert", "noon", "clear", (Subject(k, "red", "large"),)) for k in KINDS]
    rendered = render(batch_scenes(scenes), torch.full((len(KINDS), 1), 0.7), (64, 64))
    state, mask = rendered.state_BSTK[:, 0, 0], rendered.subject_mask_BTHW[:, 0]
    rows = (state[:, 1] * 64).long()[:, None] + torch.arange(-16, 16)
    columns = (state[:, 0] * 64).long()[:, None] + torch.arange(-16, 16)
    crops = mask[
        torch.arange(len(KINDS))[:, None, None], rows.clamp(0, 63)[:, :, None], columns.clamp(0, 63)[:, None, :]
    ]
    for one, other in itertools.combinations(range(len(KINDS)), 2):
        overlap = torch.minimum(crops[one], crops[other]).sum() / torch.maximum(crops[one], crops[other]).sum()
        assert overlap < 0.80, (KINDS[one], KINDS[other])


@pytest.mark.parametrize("kind", KINDS)
def test_the_named_colour_dominates_by_day_and_night(kind: str) -> None:
    setting = "lake" if kind in WATER else "meadow"
    scenes = [
        Scene(setting, time, "clear", (Subject(kind, colour, "large", direction="up"),), seed=6)
        for time in ("noon", "night")
        for colour in COLOURS
    ]
    rendered = render(batch_scenes(scenes), torch.zeros(len(scenes), 1), (96, 96))
    for index, scene in enumerate(scenes):
        light = torch.tensor(HOURS[TIMES.index(scene.time)].subject)
        inside = rendered.subject_mask_BTHW[index, 0] > 0.95
        pixels = rendered.video_BTCHW[index, 0][:, inside].T / light
        nearest = torch.cdist(pixels, torch.tensor(COLOUR_RGB)).argmin(1)
        counts = torch.bincount(nearest, minlength=len(COLOURS))
        assert COLOURS[int(counts.argmax())] == scene.subjects[0].colour, (scene, counts)


def test_masks_cover_enough() -> None:
    scenes = [
        Scene("sea" if kind in WATER else "desert", "noon", "clear", (Subject(kind, "red", size),))
        for kind in KINDS
        for size in ("small", "large")
    ]
    mask = render(batch_scenes(scenes), torch.zeros(len(scenes), 1), (64, 64)).subject_mask_BTHW[:, 0]
    assert mask[0::2].sum((1, 2)).min() > 35.0
    assert mask[1::2].sum((1, 2)).min() > 130.0


def test_black_is_outlined_at_night_and_white_on_snow() -> None:
    night = Scene("forest", "night", "clear", (Subject("dog", "black", "large"),), seed=2)
    snow = Scene("snow", "noon", "clear", (Subject("dog", "white", "large"),), seed=2)
    rendered = render(batch_scenes([night, snow]), torch.zeros(2, 1), (128, 128))
    brightness = rendered.video_BTCHW[:, 0].mean(1)
    mask = rendered.subject_mask_BTHW[:, 0]
    grown = torch.nn.functional.max_pool2d(mask[:, None], 3, 1, 1)[:, 0]
    rim = (grown > 0.9) & (mask < 0.1)
    assert brightness[0][rim[0]].quantile(0.9) > 0.35
    assert brightness[1][rim[1]].quantile(0.1) < 0.6
