"""Sizes of given pictures and clips: the shape is kept, and what does not fit is cut at the centre."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.cli.given import centre, covering, natural_size
from kinemark.timeline import SPARK_SIZES

sides = st.integers(16, 8000)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((256, 256), (256, 256)),
        ((1080, 1920), (144, 256)),
        ((1920, 1080), (256, 144)),
        ((100, 100), (256, 256)),
        ((200, 300), (170, 256)),
        ((300, 1000), (128, 426)),
        ((100, 4000), (128, 512)),
    ],
)
def test_a_source_keeps_its_shape_within_what_spark_makes(source, size):
    assert natural_size(source) == size


@settings(deadline=None)
@given(sides, sides)
def test_every_source_has_a_size_that_can_be_made(height, width):
    size = natural_size((height, width))
    assert all(SPARK_SIZES.least <= side <= SPARK_SIZES.most and side % 2 == 0 for side in size)


@settings(deadline=None)
@given(sides, sides, st.integers(128, 512), st.integers(128, 512))
def test_what_covers_is_as_small_as_can_be(height, width, tall, wide):
    covered = covering((height, width), (tall, wide))
    assert covered[0] >= tall
    assert covered[1] >= wide
    assert covered[0] == tall or covered[1] == wide
    assert abs(covered[0] * width - covered[1] * height) <= max(height, width)


def test_the_centre_is_cut():
    frames = np.arange(2 * 8 * 10 * 3).reshape(2, 8, 10, 3)
    assert (centre(frames, (4, 6)) == frames[:, 2:6, 2:8]).all()
    assert centre(frames, (8, 10)).shape == frames.shape
