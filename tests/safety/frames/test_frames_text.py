"""Text in pictures is read."""

import cv2
import numpy as np
import pytest

from kinemark.safety.frames.text import text_in


def written(*lines: str, size: tuple[int, int] = (256, 256)) -> np.ndarray:
    picture = np.full((*size, 3), (40, 60, 90), np.uint8)
    for number, line in enumerate(lines, 1):
        cv2.putText(picture, line, (12, 60 * number), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (240, 240, 240), 2, cv2.LINE_AA)
    return picture


def test_lines_are_read_from_top_to_bottom():
    assert [line.lower() for line in text_in(written("open today", "free bread"))] == ["open today", "free bread"]


@pytest.mark.parametrize("size", [(144, 256), (480, 832)])
def test_other_sizes_are_read(size):
    assert "harvest" in " ".join(text_in(written("harvest", size=size))).lower()


def test_colours_are_where_they_belong():
    picture = np.full((128, 256, 3), (0, 0, 200), np.uint8)
    cv2.putText(picture, "yellow", (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 230, 0), 3, cv2.LINE_AA)
    assert text_in(picture)[0].lower() == "yellow"


def test_a_picture_without_text_has_none():
    y, x = np.mgrid[0:128, 0:128]
    assert text_in(np.stack([x, y, x // 2 + y // 2], axis=-1).astype(np.uint8)) == []
