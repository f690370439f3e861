import math

import pytest
import torch

from kinemark.training.metrics import (
    drift,
    edge_sharpness,
    flicker,
    motion_energy,
    nearest_distance,
    thumbnail,
)

PER_CLIP = [motion_energy, edge_sharpness, flicker, drift]


def moving_square(frames=17, step=2):
    """A white square that goes right over grey, `[1, T, 3, 64, 64]`."""
    video = torch.full((1, frames, 3, 64, 64), 0.5)
    for frame in range(frames):
        video[:, frame, :, 20:36, step * frame : step * frame + 16] = 1.0
    return video


def blurred(video):
    return torch.nn.functional.avg_pool2d(video[0], 5, stride=1, padding=2, count_include_pad=False)[None]


@pytest.mark.parametrize("metric", PER_CLIP)
def test_one_number_a_clip_whatever_the_batch(metric):
    clips = torch.cat([moving_square(step=1), moving_square(step=2)])
    together = metric(clips)
    assert together.shape == (2,)
    torch.testing.assert_close(together, torch.cat([metric(clips[:1]), metric(clips[1:])]))


def test_a_frozen_clip_does_not_move_flicker_or_drift():
    still = moving_square()[:, :1].expand(-1, 17, -1, -1, -1)
    for metric in (motion_energy, flicker, drift):
        assert metric(still).item() == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("metric", [motion_energy, flicker])
def test_a_single_frame_neither_moves_nor_flickers(metric):
    assert metric(moving_square(frames=1)).item() == 0


def test_motion_energy_of_a_known_motion():
    # The square goes 8 pixels in four frames: 16 rows of 8 pixels turn on and as many off, by 0.5.
    assert motion_energy(moving_square()).item() == pytest.approx(2 * 16 * 8 * 0.5 / 64**2, rel=1e-5)


def test_faster_is_more_motion():
    assert motion_energy(moving_square(step=2)) > 1.5 * motion_energy(moving_square(step=1))


def test_noise_is_hardly_motion_but_it_is_flicker():
    torch.manual_seed(0)
    noisy = moving_square() + 0.02 * torch.randn(1, 17, 3, 64, 64)
    assert motion_energy(noisy) < 1.6 * motion_energy(moving_square())
    assert flicker(noisy) > 3 * flicker(moving_square())


def test_blur_lowers_sharpness():
    assert edge_sharpness(blurred(moving_square())) < 0.6 * edge_sharpness(moving_square())


def test_sharpness_of_a_ramp_is_its_slope():
    ramp = torch.linspace(0, 1, 64).expand(1, 2, 3, 64, 64)
    assert edge_sharpness(ramp).item() == pytest.approx(math.sqrt(1) / 63, rel=1e-4)


def test_a_fade_is_drift_and_no_flicker():
    fade = torch.linspace(0, 1, 17)[None, :, None, None, None].expand(1, 17, 3, 64, 64)
    assert flicker(fade).item() == pytest.approx(0, abs=1e-6)
    assert drift(fade).item() == pytest.approx((13 / 16) / 2, rel=1e-4)  # the mean goes by 13/16, the spread stays


def test_a_blinking_lamp_is_flicker_of_known_size():
    blink = torch.tensor([0.0, 1.0] * 8)[None, :, None, None, None].expand(1, 16, 3, 64, 64)
    assert flicker(blink).item() == pytest.approx(2.0)


def test_the_nearest_of_a_set_that_holds_the_clip_is_itself():
    torch.manual_seed(0)
    reference = thumbnail(torch.rand(6, 5, 3, 64, 64))
    assert nearest_distance(reference[2:3], reference).item() == pytest.approx(0, abs=1e-4)


def test_nearest_distance_is_in_pixel_units():
    dark, light = torch.zeros(1, 5, 3, 64, 64), torch.full((1, 5, 3, 64, 64), 0.25)
    assert nearest_distance(thumbnail(dark), thumbnail(light)).item() == pytest.approx(0.25)
