"""What moves in the worlds: subjects go the way they are said to, cameras do as they are told, a minute holds."""

from __future__ import annotations

import itertools
import random

import pytest
import torch
from torch import Tensor

from kinemark.worlds.motion import CLIP_SECONDS, EXTENT
from kinemark.worlds.render import clip_times, render
from kinemark.worlds.spec import (
    AIR,
    CAMERAS,
    DIRECTIONS,
    KINDS,
    SIZES,
    SPEEDS,
    WATER,
    Scene,
    Subject,
    batch_scenes,
    sample_scene,
)


def scene_with(kind: str, *, camera: str = "static", seed: int = 0, **choices: str) -> Scene:
    setting = "sea" if kind in WATER else "city"
    return Scene(setting, "noon", "clear", (Subject(kind, "red", **choices),), camera=camera, seed=seed)


def tracks(scenes: list[Scene], seconds: float = CLIP_SECONDS, fps: float = 4.0) -> Tensor:
    """State of the first subject of each scene, `[B, T, K]`."""
    times = clip_times(len(scenes), frames=round(seconds * fps) + 1, fps=fps)
    return render(batch_scenes(scenes), times, (4, 4)).state_BSTK[:, 0]


def centroid_and_area(mask_BTHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    height, width = mask_BTHW.shape[2:]
    area = mask_BTHW.sum((2, 3))
    x = (mask_BTHW.sum(2) * ((torch.arange(width) + 0.5) / width)).sum(2) / area
    y = (mask_BTHW.sum(3) * ((torch.arange(height) + 0.5) / height)).sum(2) / area
    return x, y, area / (height * width)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_drawn_subject_goes_the_way_it_is_said_to(direction: str) -> None:
    scenes = [scene_with(kind, direction=direction, seed=seed) for kind in KINDS for seed in (1, 2)]
    # Whole periods of every cycle apart, so that only travel moves the centroid.
    times = torch.tensor([[0.0, CLIP_SECONDS]]).expand(len(scenes), -1)
    x, y, area = centroid_and_area(render(batch_scenes(scenes), times, (64, 64)).subject_mask_BTHW)
    right, down, growth = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0], area[:, 1] / area[:, 0]
    flies = torch.tensor([scene.subjects[0].kind in AIR for scene in scenes])
    if direction in ("left", "right"):
        sign = 1.0 if direction == "right" else -1.0
        assert (sign * right > 0.15).all()
    else:
        sign = 1.0 if direction == "down" else -1.0
        assert (sign * down[flies] > 0.12).all()
        assert (growth[~flies] ** sign > 2.0).all()
        assert (right.abs() < 0.12).all()


@pytest.mark.parametrize("speed", SPEEDS)
def test_travel_is_at_least_an_eighth_of_the_height(speed: str) -> None:
    pairs = itertools.product(KINDS, ("left", "right"))
    state = tracks([scene_with(kind, speed=speed, direction=direction) for kind, direction in pairs], fps=0.25)
    assert ((state[:, -1, 0] - state[:, 0, 0]).abs() >= 8 / 64).all()


def test_faster_is_farther_and_larger_is_larger() -> None:
    by_speed = tracks([scene_with("car", speed=speed) for speed in SPEEDS])
    travel = by_speed[:, -1, 0] - by_speed[:, 0, 0]
    assert (travel.diff() > 0.1).all()
    by_size = tracks([scene_with("robot", size=size) for size in SIZES])[:, 0, 2]
    assert (by_size[1:] / by_size[:-1] > 1.3).all()
    assert by_size[0] * 64 >= 12


def test_states_and_pictures_agree() -> None:
    rng = random.Random(7)
    scenes = [scene for scene in (sample_scene(rng) for _ in range(60)) if len(scene.subjects) == 1]
    still = {"ball", "rabbit", "kite", "whale", "train"}  # whose parts leave the middle of their box
    scenes = [scene for scene in scenes if scene.subjects[0].kind not in still]
    rendered = render(batch_scenes(scenes), clip_times(len(scenes), frames=3, fps=1.0), (64, 96))
    x, y, _ = centroid_and_area(rendered.subject_mask_BTHW)
    state = rendered.state_BSTK[:, 0]
    assert (x - state[..., 0]).abs().max() < 0.05
    assert (y - state[..., 1]).abs().max() < 0.08


def test_velocities_are_the_derivative_of_positions() -> None:
    scenes = [
        scene_with(kind, direction=direction, speed=speed, seed=3)
        for kind, direction, speed in itertools.product(("bird", "whale"), DIRECTIONS, ("slow", "fast"))
    ]
    state = tracks(scenes, seconds=1.0, fps=16.0)
    slope = state[:, :, :2].diff(dim=1) * 16.0
    torch.testing.assert_close(slope, 0.5 * (state[:, :-1, 3:5] + state[:, 1:, 3:5]), atol=2e-3, rtol=0)


@pytest.mark.parametrize("aspect", [(64, 64), (64, 114), (114, 64)])
def test_a_subject_stays_in_the_picture(aspect: tuple[int, int]) -> None:
    rng = random.Random(8)
    scenes = [sample_scene(rng) for _ in range(200)]
    times = clip_times(200, frames=9, fps=2.0)
    state = render(batch_scenes(scenes), times, (aspect[0] // 8, aspect[1] // 8)).state_BSTK[:, 0]
    width = torch.tensor([EXTENT[s.subjects[0].kind][0] / EXTENT[s.subjects[0].kind][1] for s in scenes])
    x, y, height = state[..., 0], state[..., 1], state[..., 2]
    half = 0.5 * height * width[:, None] * aspect[0] / aspect[1]
    assert (x - half).min() > -0.09
    assert (x + half).max() < 1.09
    assert (y - 0.5 * height).min() > -0.02
    assert (y + 0.5 * height).max() < 1.03


def test_no_subject_turns_within_a_clip() -> None:
    rng = random.Random(9)
    velocity = tracks([sample_scene(rng) for _ in range(200)], seconds=3.9, fps=10.0)[..., 3:]
    assert (torch.sign(velocity) == torch.sign(velocity[:, :1])).all()


def test_in_a_minute_a_subject_turns_and_its_velocity_says_so() -> None:
    state = tracks([scene_with("car", speed="fast")], seconds=60.0)[0]
    assert (state[:, 0] > 0.0).all()
    assert (state[:, 0] < 1.0).all()
    assert (state[:, 3] > 0).any()
    assert (state[:, 3] < 0).any()
    moved = torch.sign(state[:, 0].diff())
    agreed = moved == torch.sign(state[1:, 3])
    assert agreed.float().mean() > 0.9


def test_a_subject_looks_where_it_goes() -> None:
    left, right = (scene_with("train", direction=direction) for direction in ("left", "right"))
    for scene, sign in ((left, -1.0), (right, 1.0)):
        rendered = render(batch_scenes([scene]), torch.zeros(1, 1), (64, 64))
        x = rendered.state_BSTK[0, 0, 0, 0]
        mask = rendered.subject_mask_BTHW[0, 0, :30].sum(0)  # the chimney, the highest part, is in front
        chimney = (mask * (torch.arange(64) + 0.5) / 64).sum() / mask.sum().clamp_min(1e-6)
        assert mask.sum() == 0 or sign * (chimney - x) > 0


def _ground_shift(camera: str, direction: str = "right") -> int:
    """By how many pixels the street's dashes move to the right within a second, found by matching."""
    scene = scene_with("bird", camera=camera, direction=direction, seed=4)
    video = render(batch_scenes([scene]), torch.tensor([[2.0, 2.5]]), (128, 256)).video_BTCHW[0]
    rows = video[:, 0, 98:106].mean(1)
    errors = {
        shift: (rows[0, 40 - shift : 216 - shift] - rows[1, 40:216]).abs().mean().item() for shift in range(-16, 17)
    }
    return min(errors, key=errors.__getitem__)


def test_cameras_move_the_scenery() -> None:
    assert _ground_shift("static") == 0
    assert _ground_shift("pan left") > 3
    assert _ground_shift("pan right") < -3
    assert _ground_shift("follow", "right") < -3
    assert _ground_shift("follow", "left") > 3


def test_zoom_grows_or_shrinks_the_subject() -> None:
    sizes = tracks([scene_with("car", camera=camera) for camera in CAMERAS])[..., 2]
    growth = dict(zip(CAMERAS, (sizes[:, -1] / sizes[:, 0]).tolist(), strict=True))
    assert growth["zoom in"] > 1.25
    assert growth["zoom out"] < 0.8
    assert growth["static"] == pytest.approx(1.0)


def test_follow_keeps_the_subject_near_the_middle() -> None:
    state = tracks([scene_with("dog", camera="follow", speed="fast", direction="left")], seconds=30.0)[0]
    assert (state[:, 0] - 0.5).abs().max() < 0.3
    assert (state[:, 3] < 0).all()
