import numpy as np
import pytest
from provenance_clips import FPS, VARIED, ball, sunset, texture

from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.errors import RequestError
from kinemark.provenance.findings import FINGERPRINT_HINT, FINGERPRINT_MATCH
from kinemark.provenance.fingerprints.fingerprint import VIEWS, distance, distances, fingerprint


@pytest.mark.parametrize("name", VARIED)
def test_sizes_of_the_hashes(name):
    seen = fingerprint(VARIED[name](frames=33))
    assert (len(seen.clip), len(seen.views), len(seen.mirrored)) == (32, 256, 32)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_clips_have_one_too(frames):
    assert len(fingerprint(ball(frames=frames)).views) == 256


def test_a_picture_of_one_pixel_has_one():
    assert len(fingerprint(np.zeros((1, 1, 1, 3), np.uint8)).views) == 256


@pytest.mark.parametrize("name", VARIED)
def test_a_mirrored_copy_asks_for_the_mirrored_hash(name):
    frames = VARIED[name]()
    assert distance(fingerprint(frames[:, :, ::-1]).mirrored, fingerprint(frames).clip) <= 4


@pytest.mark.parametrize("view", VIEWS)
def test_a_cropped_copy_shows_about_one_of_the_parts(view):
    frames = texture()
    height, width = frames.shape[1:3]
    top, left, bottom, right = (round(share * side) for share, side in zip(view, (height, width) * 2, strict=True))
    cropped = np.frombuffer(fingerprint(frames[:, top:bottom, left:right]).clip, np.uint8)
    views = np.frombuffer(fingerprint(frames).views, np.uint8).reshape(-1, 32)
    assert distances(cropped.tobytes(), views).min() == 0


def changed(frames, folder):
    encode_mp4(frames, FPS, folder / "clip.mp4", crf=28)
    yield "crf 28", read_video(folder / "clip.mp4").frames_THWC
    yield "half size", read_video(folder / "clip.mp4", size=(96, 128)).frames_THWC
    yield "brighter", np.clip(frames * 1.1 + 8, 0, 255).astype(np.uint8)
    yield "every second frame", frames[::2]


@pytest.mark.parametrize("name", VARIED)
def test_the_same_clip_stays_near(name, tmp_path):
    frames = VARIED[name]()
    seen = fingerprint(frames).clip
    far = {what: distance(seen, fingerprint(other).clip) for what, other in changed(frames, tmp_path)}
    assert max(far.values()) <= FINGERPRINT_MATCH, far


def test_other_clips_are_far():
    seen = [fingerprint(make()).clip for make in VARIED.values()] + [fingerprint(texture(seed=9)).clip]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert distance(one, other) > FINGERPRINT_HINT


def test_motion_counts_not_only_the_scene():
    assert distance(fingerprint(ball()).clip, fingerprint(ball()[::-1]).clip) > 0


def test_distance_counts_differing_bits():
    assert distance(b"\x00\xff", b"\x00\xff") == 0
    assert distance(b"\x00\xff", b"\x01\x00") == 9
    many = np.frombuffer(b"\x00\xff\x01\xff", np.uint8).reshape(2, 2)
    assert distances(b"\x00\xff", many).tolist() == [0, 1]


def test_it_is_the_same_on_every_machine():
    frames = (np.indices((4, 40, 56, 3)).sum(axis=0) * 7 % 256).astype(np.uint8)
    assert fingerprint(frames) == fingerprint(frames.copy())


@pytest.mark.parametrize(
    "frames", [np.zeros((0, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)]
)
def test_wrong_frames_are_an_error(frames):
    with pytest.raises(RequestError, match="uint8"):
        fingerprint(frames)


def test_sunset_at_another_size():
    assert distance(fingerprint(sunset()).clip, fingerprint(sunset()[:, ::2, ::2]).clip) <= FINGERPRINT_MATCH
