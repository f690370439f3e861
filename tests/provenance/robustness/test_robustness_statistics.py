import math

import numpy as np
import pytest
from provenance_clips import texture

from kinemark.provenance.robustness.statistics import Rate, flicker, gamma_tail, overlap, psnr, ssim


def test_the_worst_tenth_is_by_clip():
    rate = Rate.of([True] * 18 + [False, True], [i // 2 for i in range(20)])
    assert (rate.n, rate.share, rate.worst) == (20, 0.95, 0.5)


def test_psnr_of_one_step():
    frames = texture(frames=2, height=64, width=64).clip(0, 250)
    assert psnr(frames, frames + 1) == pytest.approx(20 * math.log10(255), abs=0.01)


def test_ssim_is_one_for_the_same_and_less_for_noise():
    frame = texture(frames=1, height=64, width=64)[0]
    noisy = (frame + np.random.default_rng(0).normal(0, 20, frame.shape)).clip(0, 255).astype(np.uint8)
    assert ssim(frame, frame) == pytest.approx(1)
    assert 0.1 < ssim(frame, noisy) < 0.8


def test_only_what_changes_flickers():
    frames = texture(frames=4, height=64, width=64).clip(0, 200)
    blinking = frames + np.array([0, 4, 0, 4], np.uint8)[:, None, None, None]
    assert flicker(frames, frames + 5) == pytest.approx(0, abs=1e-4)
    assert flicker(frames, blinking) == pytest.approx(4, abs=0.01)
    assert flicker(frames[:1], blinking[:1]) == 0


@pytest.mark.parametrize(
    ("spans", "truth", "share"),
    [([(0, 10)], (0, 10), 1), ([(0, 5)], (0, 10), 0.5), ([(0, 4), (6, 10)], (0, 10), 0.8), ([(20, 30)], (0, 10), 0)],
)
def test_overlap(spans, truth, share):
    assert overlap(spans, truth) == pytest.approx(share)


@pytest.mark.parametrize(
    ("value", "freedom", "chance"), [(18.307, 10, 0.05), (341.395, 256, 3.0e-4), (99.607, 50, 3.8e-5)]
)
def test_the_gamma_tail_is_chi_squares(value, freedom, chance):
    assert gamma_tail(value, freedom, 2 * freedom) == pytest.approx(chance, rel=0.2)
