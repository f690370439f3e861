"""A picture goes on as it did."""

import pytest
import torch

from kinemark.motion import Course


def texture(side=64, seed=0):
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))
    return ((torch.nn.functional.avg_pool2d(noise, 5, 1, 2) - 0.5) * 2.5 + 0.5).clamp(0, 1)


@pytest.mark.parametrize("step", [(0, 0), (0, 3), (2, -1)])
def test_what_slides_slides_on(step):
    wide = texture(128)
    frames = [wide[:, 32 - t * step[0] : 96 - t * step[0], 32 - t * step[1] : 96 - t * step[1]] for t in range(5)]
    course = Course.away_from(frames[0], frames[1])
    inner = (slice(None), slice(12, -12), slice(12, -12))
    for steps in (1, 3):
        seen, sure = course.after(steps)
        assert (seen - frames[1 + steps])[inner].abs().mean() < 0.03
        assert sure[inner].mean() > 0.8
    backwards = Course.away_from(frames[4], frames[3])
    assert (backwards.after(2)[0] - frames[1])[inner].abs().mean() < 0.03


def test_what_is_elsewhere_in_the_neighbour_is_not_believed():
    spots = [(texture(seed=seed) > 0.5).float() for seed in (1, 2)]
    _, sure = Course.away_from(*spots).after(1)
    assert sure.mean() < 0.25
    assert 0 <= sure.min() <= sure.max() <= 1
