"""Every frame that is new is looked at, and no other."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinemark.safety.frames.changes import to_look_at

STILL = np.full((256, 256, 3), 100, np.uint8)


def test_a_still_clip_is_looked_at_once():
    assert to_look_at(np.stack([STILL] * 20)) == [0]


@given(at=st.integers(1, 8), top=st.integers(0, 240), left=st.integers(0, 240))
def test_a_mark_in_a_single_frame_is_seen_and_so_is_its_end(at, top, left):
    frames = np.stack([STILL] * 10)
    frames[at, top : top + 16, left : left + 16] = 255
    assert to_look_at(frames) == [0, at, at + 1]


def test_slow_changes_add_up():
    fading = np.stack([np.full((64, 64, 3), 100 + step, np.uint8) for step in range(40)])
    assert to_look_at(fading) == [0, 10, 20, 30]


def test_grain_is_no_change():
    rng = np.random.default_rng(0)
    assert to_look_at((STILL + rng.normal(0, 5, (8, 256, 256, 3))).clip(0, 255).astype(np.uint8)) == [0]


def test_pictures_of_a_few_pixels_are_read():
    assert to_look_at(np.zeros((2, 1, 3, 3), np.uint8)) == [0]
