"""Pictures pass; what is empty, noise or no picture at all does not."""

import numpy as np
import pytest

from kinemark.safety.frames.decode import judge_decode

RNG = np.random.default_rng(0)


def gradient(height=96, width=128, frames=3) -> np.ndarray:
    ramp = np.linspace(20, 220, width)[None, None, :, None] + np.zeros((frames, height, width, 3))
    ramp[:, height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 30)
    return ramp.astype(np.uint8)


def noise(scale: int, height=256, width=256, frames=1) -> np.ndarray:
    cells = RNG.integers(0, 256, (frames, height // scale, width // scale, 3), dtype=np.uint8)
    return cells.repeat(scale, axis=1).repeat(scale, axis=2)


def test_a_picture_passes():
    assert judge_decode(gradient()).allow


def test_a_dim_picture_with_a_small_subject_passes():
    frames = np.full((2, 128, 128, 3), 6, dtype=np.uint8)
    frames[:, 50:62, 50:64] = (40, 30, 80)
    assert judge_decode(frames).allow


def test_rain_and_stars_pass():
    frames = gradient(256, 256, 1)
    for y, x in RNG.integers(0, 250, (300, 2)):
        frames[0, y : y + 6, x] = 235
    assert judge_decode(frames).allow


def test_fine_texture_passes():
    frames = gradient(256, 256, 1).astype(int)
    frames += RNG.integers(-12, 12, frames.shape)
    assert judge_decode(frames.clip(0, 255).astype(np.uint8)).allow


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_empty_frame_is_refused_wherever_it_stands(value):
    frames = gradient(frames=5)
    frames[3] = value
    judgement = judge_decode(frames)
    assert not judgement.allow
    assert "frame 3 is empty" in judgement.reason


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_noise_of_any_grain_is_refused(scale):
    judgement = judge_decode(noise(scale))
    assert not judgement.allow
    assert "noise" in judgement.reason


def test_one_frame_of_noise_is_enough():
    frames = gradient(256, 256, 6)
    frames[4] = noise(4)[0]
    assert "frame 4 is noise" in judge_decode(frames).reason


@pytest.mark.parametrize(
    "frames",
    [
        np.full((2, 64, 64, 3), np.nan, dtype=np.float32),
        np.zeros((2, 64, 64, 3), dtype=np.int16),
        np.zeros((64, 64, 3), dtype=np.uint8),
        np.zeros((2, 3, 64, 64), dtype=np.uint8),
        np.zeros((0, 64, 64, 3), dtype=np.uint8),
        np.zeros((2, 8, 64, 3), dtype=np.uint8),
    ],
    ids=["nan", "int16", "three axes", "channels first", "no frames", "too small"],
)
def test_what_is_no_clip_is_refused(frames):
    judgement = judge_decode(frames)
    assert not judgement.allow
    assert "shape" in judgement.reason or "uint8" in judgement.reason
