"""Faces are found where they hold; passing look-alikes are not faces."""

import numpy as np
import pytest

from drawn_face import drawn_face
from kinemark.safety.frames.faces import HOLDS, Face, faces, frontal_faces

EMPTY = np.full((256, 256, 3), 150, np.uint8)


def clip(shows: str) -> np.ndarray:
    """A frame for each sign, with a face where it is an f."""
    return np.stack([drawn_face() if seen == "f" else EMPTY for seen in shows])


@pytest.mark.parametrize("size", [100, 160, 200])
def test_a_face_is_found_at_its_place(size):
    ((left, top, width, height),) = frontal_faces(drawn_face(size=size))
    assert abs(left + width / 2 - 128) < 0.2 * size
    assert abs(top + height / 2 - 128) < 0.3 * size
    assert 0.6 * size < width < 1.5 * size


def test_large_pictures_are_read_in_their_own_pixels():
    large = drawn_face(1600, centre=(1200, 500), size=700)
    ((left, top, width, height),) = frontal_faces(large)
    assert abs(left + width / 2 - 1200) < 150
    assert abs(top + height / 2 - 500) < 200


def test_a_still_picture_counts_by_itself():
    assert len(faces(drawn_face()[None], 8)) == 1
    assert faces(EMPTY[None], 8) == []


def test_a_face_counts_once_it_holds():
    assert faces(clip(".ff..."), 8) == []
    (found,) = faces(clip(".fff.."), 8)
    assert (found.start, found.stop) == (1, 4)


def test_what_jumps_about_is_no_face():
    places = iter([(0, 0, 20, 20), (100, 0, 20, 20), (0, 100, 20, 20), (100, 100, 20, 20)])
    assert faces(np.stack([EMPTY] * 4), 8, lambda _: [next(places)]) == []


def test_two_faces_are_two():
    boxes = [(0, 0, 50, 50), (150, 0, 50, 50)]
    found = faces(np.stack([EMPTY] * 5), 8, lambda _: boxes)
    assert [face.box for face in found] == boxes


def test_fast_clips_are_sampled_sixteen_times_a_second():
    seen: list[int] = []
    faces(np.stack([EMPTY] * 30), 30, lambda _: seen.append(1) or [])
    assert len(seen) == 15


@pytest.mark.parametrize("at", [0, 10, 29])
def test_a_face_planted_in_the_samples_of_a_slot_is_found(at):
    start = min(at, 30 - HOLDS)
    planted = "." * start + "f" * HOLDS + "." * (30 - start - HOLDS)
    assert faces(clip(planted), 8) == [Face(start, start + HOLDS, frontal_faces(drawn_face())[0])]
