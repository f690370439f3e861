import numpy as np
import pytest
from provenance_clips import ball, texture

from kinemark.provenance.robustness import pixels, sequences
from kinemark.provenance.robustness.pixels import Clip
from kinemark.provenance.robustness.table import CHAINS, ROWS

CLIP = Clip(texture(frames=8, height=96, width=128), 8.0)
PIXELS = [
    pixels.brightness, pixels.contrast, pixels.gamma, pixels.saturation, pixels.grayscale, pixels.blur, pixels.noise,
    pixels.resize, pixels.crop(0.1), pixels.pad, pixels.flip, pixels.rotate, pixels.perspective(0.02), pixels.subtitles,
    pixels.logo, pixels.recapture,
]  # fmt: skip
SEQUENCES = [
    sequences.gif, sequences.trim(0.5), sequences.every_second_lost, sequences.speed, sequences.frame_rate,
    sequences.reverse, sequences.screenshot, sequences.splice(ball(frames=3, height=64, width=64)),
]  # fmt: skip


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("attack", PIXELS + SEQUENCES)
def test_an_attack_changes_the_clip_and_depends_on_the_seed_alone(attack):
    before = CLIP.frames.copy()
    one, again = attack(CLIP, rng()), attack(CLIP, rng())
    assert one.frames.dtype == np.uint8
    assert one.frames.ndim == 4
    assert np.array_equal(one.frames, again.frames)
    assert one.frames.shape != before.shape or not np.array_equal(one.frames, before)
    assert np.array_equal(CLIP.frames, before)


@pytest.mark.parametrize("attack", PIXELS)
def test_pixel_attacks_keep_the_number_of_frames(attack):
    assert len(attack(CLIP, rng(1)).frames) == len(CLIP.frames)


def test_no_change_is_no_change():
    assert np.array_equal(pixels.warped(CLIP, np.eye(3)).frames, CLIP.frames)
    assert np.array_equal(pixels.resized(CLIP, 96, 128).frames, CLIP.frames)
    assert np.array_equal(pixels.crop(0.0)(CLIP, rng()).frames, CLIP.frames)


def test_mirroring_twice_and_reversing_twice():
    for attack in (pixels.flip, sequences.reverse):
        assert np.array_equal(attack(attack(CLIP, rng()), rng()).frames, CLIP.frames)


def test_grey_is_grey_and_full_saturation_is_not():
    grey = pixels.grayscale(CLIP, rng()).frames
    assert (grey == grey[..., :1]).all()


def test_a_logo_covers_a_tenth_and_subtitles_stay_low():
    changed = (pixels.logo(CLIP, rng()).frames != CLIP.frames).any(axis=(0, 3))
    assert changed.mean() == pytest.approx(0.1, abs=0.02)
    lines = (pixels.subtitles(CLIP, rng()).frames != CLIP.frames).any(axis=(0, 2, 3))
    assert not lines[: int(96 * 0.75)].any()
    assert lines.any()


def test_lengths_and_rates():
    assert len(sequences.trim(0.5)(CLIP, rng()).frames) == 4
    assert len(sequences.every_second_lost(CLIP, rng()).frames) == 4
    assert len(sequences.screenshot(CLIP, rng()).frames) == 1
    lengths = [len(sequences.speed(CLIP, rng(seed)).frames) for seed in range(20)]
    assert min(lengths) >= 4
    assert max(lengths) <= 16
    faster = sequences.frame_rate(CLIP, rng())
    assert len(faster.frames) / faster.fps == pytest.approx(7 / 8, abs=0.2)


def test_a_splice_says_which_part_is_ours():
    spliced = sequences.splice(ball(frames=3, height=64, width=64))(CLIP, rng())
    start, stop = spliced.ours
    assert np.array_equal(spliced.frames[start:stop], CLIP.frames[start:stop])
    assert 0.3 <= (stop - start) / len(CLIP.frames) <= 0.7
    assert not np.array_equal(spliced.frames[:start], CLIP.frames[:start]) or start == 0


def test_there_are_twenty_chains_and_every_row_runs():
    assert len(CHAINS) == 20
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.attack], ids=lambda row: row.name)
def test_rows_give_frames_that_can_be_looked_at(row):
    attacked = row.attack(CLIP, rng())
    assert attacked.frames.dtype == np.uint8
    assert len(attacked.frames) >= 1
    assert min(attacked.frames.shape[1:3]) >= 48
