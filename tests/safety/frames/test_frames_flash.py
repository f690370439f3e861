"""Flashes are found in white and in red, in a corner, in a few frames; slow and small light is let be."""

import numpy as np
import pytest

from kinemark.safety.frames.flash import general_changes, judge_flash

HEIGHT, WIDTH = 96, 128


def clip(levels, *, area=(slice(None), slice(None)), colour=(1, 1, 1), ground=60, fps=24) -> tuple[np.ndarray, float]:
    """Frames of grey ground with an area whose colour has these levels (0..255), one a frame."""
    frames = np.full((len(levels), HEIGHT, WIDTH, 3), ground, dtype=np.uint8)
    for frame, level in zip(frames, levels, strict=True):
        frame[area] = np.array(colour) * level
    return frames, fps


def strobe(frames=24, on=1, off=1, high=255, low=0) -> list[int]:
    return [high if i % (on + off) < on else low for i in range(frames)]


def test_a_strobe_is_refused():
    judgement = judge_flash(*clip(strobe()))
    assert not judgement.allow
    assert judgement.category == "photosensitive"
    assert judgement.rule == "flash-wcag-2.3.1"


@pytest.mark.parametrize("start", [0, 17, 88])
def test_a_flash_planted_in_a_few_frames_is_found_and_its_place_is_told(start):
    levels = [120] * 96
    levels[start : start + 8] = strobe(8)
    judgement = judge_flash(*clip(levels))
    assert not judgement.allow
    assert "flashes in the second from" in judgement.reason


def test_a_strobe_at_eight_frames_a_second_is_refused():
    assert not judge_flash(*clip(strobe(17), fps=8)).allow


@pytest.mark.parametrize("fps", [1, 4, 6])
def test_too_few_frames_a_second_cannot_flash(fps):
    assert judge_flash(*clip(strobe(), fps=fps)).allow


def test_three_flashes_a_second_are_allowed_and_four_are_not():
    three, four = [0] * 24, [0] * 24
    three[2:8] = strobe(6)
    four[2:10] = strobe(8)
    assert judge_flash(*clip(three)).allow
    assert not judge_flash(*clip(four)).allow


def test_flashes_that_are_seconds_apart_are_allowed():
    levels = [0] * 240
    for start in range(0, 240, 12):
        levels[start] = 255
    assert judge_flash(*clip(levels)).allow


def test_a_sunset_is_no_flash():
    assert judge_flash(*clip(np.linspace(250, 5, 96).astype(int))).allow


def test_a_slow_pulse_is_no_flash():
    levels = (127 + 120 * np.sin(2 * np.pi * np.arange(96) / 24)).astype(int)
    assert judge_flash(*clip(levels)).allow


def test_a_fast_pulse_is_one_though_no_two_frames_are_far_apart():
    levels = (127 + 127 * np.sin(2 * np.pi * np.arange(120) / 12)).astype(int)
    assert not judge_flash(*clip(levels, fps=60)).allow


def test_a_faint_flicker_is_allowed():
    assert judge_flash(*clip(strobe(high=128, low=118))).allow


def test_light_on_light_is_allowed():
    """The darker of the two must be below 0.8 of the maximum."""
    assert judge_flash(*clip(strobe(high=255, low=235))).allow


def test_a_quarter_of_a_third_of_the_picture_is_enough():
    corner = (slice(0, HEIGHT // 5), slice(0, WIDTH // 5))
    assert not judge_flash(*clip(strobe(), area=corner)).allow


def test_a_small_light_may_blink():
    spot = (slice(0, HEIGHT // 10), slice(0, WIDTH // 10))
    assert judge_flash(*clip(strobe(), area=spot)).allow


def test_a_checkerboard_that_turns_over_is_refused():
    squares = (np.add.outer(np.arange(HEIGHT) // 16, np.arange(WIDTH) // 16) % 2).astype(np.uint8)
    frames = np.stack([255 * (squares ^ (i % 2)) for i in range(24)])[..., None].repeat(3, axis=3)
    assert not judge_flash(frames, 24).allow


def test_red_flashes_are_found_where_luminance_alone_is_not_enough():
    levels = strobe(high=110, low=40)
    frames, fps = clip(levels, colour=(1, 0, 0), ground=0)
    red = np.array([[[level / 255]] for level in levels])
    assert not general_changes((red**2.2)[..., None] * [1, 0, 0]).any()
    judgement = judge_flash(frames, fps)
    assert not judgement.allow
    assert "red flashes" in judgement.reason


def test_green_of_the_same_strength_is_no_red_flash():
    assert judge_flash(*clip(strobe(high=60, low=20), colour=(0, 1, 0), ground=0)).allow


def test_a_subject_that_crosses_is_no_flash():
    frames = np.full((48, HEIGHT, WIDTH, 3), 20, dtype=np.uint8)
    for index, frame in enumerate(frames):
        x = index * WIDTH // 48
        frame[20:70, x : x + 40] = 250
    assert judge_flash(frames, 24).allow


def test_odd_sizes_and_single_frames_are_judged():
    assert judge_flash(np.zeros((1, 17, 23, 3), dtype=np.uint8), 8).allow
    odd = np.zeros((24, 37, 53, 3), dtype=np.uint8)
    odd[::2] = 255
    assert not judge_flash(odd, 24).allow


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_an_error(fps):
    with pytest.raises(ValueError, match="fps"):
        judge_flash(np.zeros((2, 32, 32, 3), dtype=np.uint8), fps)
