import os

import numpy as np
import pytest

from kinemark.data.transcode import AV1, H264, H265, JPEG, VP9, palette, transcode


def gradient(frames=4, height=64, width=128):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([np.stack([x * 2, y * 3, (x + y + 5 * t)], axis=-1) % 256 for t in range(frames)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("codec", "fine", "coarse"), [(H264, 10, 45), (H265, 10, 45), (VP9, 5, 60), (AV1, 5, 60), (JPEG, 2, 30)]
)
def test_frames_come_back_changed_by_their_quality(codec, fine, coarse):
    frames = gradient()
    errors = []
    for quality in (fine, coarse):
        decoded = transcode(frames, 8, codec, quality)
        assert decoded.shape == frames.shape
        assert decoded.dtype == np.uint8
        errors.append(np.abs(decoded.astype(float) - frames).mean())
    assert 0 < errors[0] < errors[1]


def test_no_encoder_leaves_the_process_with_real_time_priority():
    transcode(gradient(), 8, AV1, 40)
    if hasattr(os, "sched_getscheduler"):
        assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_odd_sizes_lose_a_row_and_a_column():
    assert transcode(gradient(2, 65, 67), 8, H264, 20).shape == (2, 64, 66, 3)


def test_a_palette_has_256_colours():
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    drawn = palette(frames)
    assert drawn.shape == frames.shape
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) <= 256
