"""The preview in characters, and when there is none."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console

from kinemark.cli.progress import COLUMNS, UPPER_HALF, can_show_pictures, half_blocks, last_frame, shown


def terminal(**changes) -> Console:
    settings = {"force_terminal": True, "color_system": "truecolor", "width": 100, "height": 60} | changes
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding=settings.pop("encoding", "utf-8")), **settings)


def test_each_character_shows_two_pixels():
    image = np.zeros((4, 3, 3), dtype=np.uint8)
    image[0], image[1] = (255, 0, 0), (0, 0, 255)
    text = half_blocks(image)
    assert text.plain == (UPPER_HALF * 3 + "\n") * 2
    assert str(text.spans[0].style) == "rgb(255,0,0) on rgb(0,0,255)"
    assert str(text.spans[-1].style) == "rgb(0,0,0) on rgb(0,0,0)"


@pytest.mark.parametrize("size", [(64, 64), (36, 64), (64, 36), (128, 32), (2, 2), (5, 7)])
def test_a_picture_fits_and_keeps_its_shape(size):
    lines = half_blocks(np.zeros((*size, 3), dtype=np.uint8)).plain.splitlines()
    assert len(lines) <= COLUMNS // 2
    assert all(len(line) == min(COLUMNS, size[1]) for line in lines)


def test_the_newest_frame_is_shown():
    video = torch.zeros(9, 3, 8, 8)
    video[-1, 0] = 1.0
    frame = last_frame(video)
    assert frame.shape == (8, 8, 3)
    assert (frame == (255, 0, 0)).all()


@pytest.mark.parametrize(
    ("changes", "can"),
    [
        ({}, True),
        ({"color_system": "256"}, True),
        ({"color_system": "standard"}, False),
        ({"color_system": None}, False),
        ({"force_terminal": False}, False),
        ({"encoding": "ascii"}, False),
        ({"width": 30}, False),
        ({"height": 12}, False),
    ],
)
def test_pictures_are_shown_where_they_can_be(changes, can):
    assert can_show_pictures(terminal(**changes)) is can


def test_progress_is_drawn_with_its_stages():
    console = terminal()
    with shown(console) as report:
        report("load", 0, 1)
        report("sample", 1, 4, lambda: torch.zeros(1, 3, 16, 16))
    console.file.seek(0)
    assert "making frames" in console.file.read()
