"""The renderer as a whole: purity, resolution, sizes, and what its result promises."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from kinemark.worlds.render import STATE, clip_times, render
from kinemark.worlds.spec import (
    COLOURS,
    LOOKS,
    SETTINGS,
    TIMES,
    WEATHERS,
    Scene,
    SceneBatch,
    Subject,
    batch_scenes,
    kinds_for,
    sample_scene,
)


def scenes_over(count: int, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    return [sample_scene(rng) for _ in range(count)]


def still(scenes: list[Scene], size: tuple[int, int], time: float = 1.3) -> Tensor:
    """One frame of each scene, `[B, 3, H, W]`."""
    return render(batch_scenes(scenes), torch.full((len(scenes), 1), time), size).video_BTCHW[:, 0]


def psnr(one: Tensor, other: Tensor) -> Tensor:
    return -10.0 * ((one - other) ** 2).mean((1, 2, 3)).log10()


def with_some_subject(setting: str, choice: int) -> tuple[Subject, ...]:
    kinds = kinds_for(setting)
    return (Subject(kinds[choice % len(kinds)], COLOURS[choice % len(COLOURS)]),)


def test_an_item_renders_the_same_alone_and_in_a_batch() -> None:
    batch = batch_scenes(scenes_over(24))
    times = clip_times(24, frames=3, fps=1.0)
    together = render(batch, times, (32, 48))
    for item in range(0, 24, 3):
        part = slice(item, item + 1)
        alone = render(SceneBatch(batch.codes_BA[part], batch.seed_B[part]), times[part], (32, 48))
        # Vectorised and scalar sines differ in their last bit, which may move a pixel at a border of cells a little.
        torch.testing.assert_close(alone.video_BTCHW, together.video_BTCHW[part], atol=2e-3, rtol=0)
        torch.testing.assert_close(alone.subject_mask_BTHW, together.subject_mask_BTHW[part], atol=2e-3, rtol=0)
        torch.testing.assert_close(alone.state_BSTK, together.state_BSTK[part], equal_nan=True)


def test_a_frame_does_not_depend_on_the_frames_beside_it() -> None:
    batch = batch_scenes(scenes_over(6, seed=1))
    clip = render(batch, clip_times(6, frames=5, fps=2.0), (32, 32)).video_BTCHW
    frame = render(batch, torch.full((6, 1), 1.5), (32, 32)).video_BTCHW
    torch.testing.assert_close(frame[:, 0], clip[:, 3], atol=1e-4, rtol=0)


def test_no_generator_is_advanced() -> None:
    before = torch.random.get_rng_state()
    still(scenes_over(2), (16, 16))
    assert torch.equal(before, torch.random.get_rng_state())


def test_pictures_can_be_trained_on() -> None:
    rendered = render(batch_scenes(scenes_over(2)), torch.zeros(2, 1), (16, 16))
    weight = torch.ones(1, requires_grad=True)
    loss = (rendered.video_BTCHW * weight).mean() + (rendered.subject_mask_BTHW * weight).mean()
    loss = loss + (rendered.state_BSTK.nan_to_num() * weight).mean()
    loss.backward()
    assert weight.grad is not None


def test_the_seed_moves_what_the_scene_does_not_name() -> None:
    scene = Scene("meadow", "noon", "clear", (Subject("dog", "red"),), seed=1)
    other = Scene("meadow", "noon", "clear", (Subject("dog", "red"),), seed=2)
    first, second = still([scene, other], (64, 64))
    assert (first - second).abs().mean() > 0.01


@pytest.mark.parametrize("look", LOOKS)
def test_a_small_picture_is_the_average_of_a_large_one(look: str) -> None:
    scenes = [
        Scene(
            setting,
            TIMES[index % 5],
            WEATHERS[(index + shift) % 5],
            with_some_subject(setting, index + shift),
            look=look,
            seed=index,
        )
        for index, setting in enumerate(SETTINGS)
        for shift in (0, 2)
    ]
    quality = psnr(avg_pool2d(still(scenes, (256, 256)), 4), still(scenes, (64, 64)))
    assert quality.mean() > 38.0
    assert quality.min() > 34.5


@pytest.mark.parametrize("size", [(64, 64), (36, 64), (64, 36), (40, 160), (17, 23)])
def test_any_size_gives_finite_pictures_in_range(size: tuple[int, int]) -> None:
    scenes = scenes_over(20, seed=2)
    rendered = render(batch_scenes(scenes), clip_times(20, frames=2, fps=0.5), size)
    assert rendered.video_BTCHW.shape == (20, 2, 3, *size)
    assert rendered.subject_mask_BTHW.shape == (20, 2, *size)
    assert rendered.state_BSTK.shape == (20, 2, 2, len(STATE))
    for pixels in (rendered.video_BTCHW, rendered.subject_mask_BTHW):
        assert torch.isfinite(pixels).all()
        assert pixels.min() >= 0.0
        assert pixels.max() <= 1.0
    assert (rendered.subject_mask_BTHW.flatten(2).amax(2) > 0.5).all()


def test_a_wider_picture_shows_more_and_stretches_nothing() -> None:
    scene = Scene("mountains", "noon", "clear", (Subject("car", "red", direction="up"),), seed=5)
    square, wide = (
        render(batch_scenes([scene]), torch.zeros(1, 1), size).subject_mask_BTHW[0, 0] for size in ((64, 64), (64, 128))
    )
    assert square.sum().item() == pytest.approx(wide.sum().item(), rel=0.02)


def test_absent_subjects_have_no_state() -> None:
    one = Scene("sea", "noon", "clear", (Subject("duck", "yellow"),))
    two = Scene("sea", "noon", "clear", (Subject("duck", "yellow"), Subject("whale", "blue")))
    state = render(batch_scenes([one, two]), torch.zeros(2, 1), (32, 32)).state_BSTK
    assert state[:, 0].isfinite().all()
    assert state[0, 1].isnan().all()
    assert state[1, 1].isfinite().all()


def test_a_second_subject_does_not_hide_the_first() -> None:
    rng = random.Random(4)
    scenes, firsts = [], []
    while len(scenes) < 24:
        scene = sample_scene(rng)
        if len(scene.subjects) == 2 and scene.camera != "follow":
            scenes.append(scene)
            firsts.append(scene)
    state = render(batch_scenes(scenes), clip_times(24, frames=5, fps=1.0), (16, 16)).state_BSTK
    apart = (state[:, 0, :, :2] - state[:, 1, :, :2]).norm(dim=-1)
    assert (apart > 0.18).float().mean() > 0.8


def test_the_light_changes_over_the_duration() -> None:
    changing = Scene("sea", "noon", "clear", (Subject("duck", "red"),), time_end="sunset", seed=3)
    noon, sunset = (Scene("sea", time, "clear", (Subject("duck", "red"),), seed=3) for time in ("noon", "sunset"))
    batch = batch_scenes([changing, noon, sunset])
    for duration in (4.0, 20.0):
        times = torch.tensor([[0.0, duration]]).expand(3, -1)
        sky = render(batch, times, (32, 32), duration=duration).video_BTCHW[..., :4, :].mean((-1, -2))
        torch.testing.assert_close(sky[0, 0], sky[1, 0], atol=0.01, rtol=0)
        torch.testing.assert_close(sky[0, 1], sky[2, 1], atol=0.01, rtol=0)


def test_clip_times() -> None:
    times = clip_times(2, frames=3, fps=8.0, start=1.0)
    torch.testing.assert_close(times, torch.tensor([[1.0, 1.125, 1.25]] * 2))
