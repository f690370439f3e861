"""Hooked crosses are found at any angle and a slant; letters, crosses and their mirror image are none."""

import random

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_symbol import with_cross
from kinemark.cli.footage import rendered
from kinemark.safety.frames.symbols import hooked_crosses

RED = np.full((256, 256, 3), (200, 20, 20), np.uint8)


@settings(max_examples=40, deadline=None)
@given(turn=st.floats(25, 65), size=st.integers(30, 110), shear=st.floats(-0.25, 0.25))
def test_a_tilted_cross_is_found_where_it_is(turn, size, shear):
    (first, *_) = hooked_crosses(with_cross(RED, turn=turn, size=size, shear=shear))
    left, top, width, height = first.box
    assert abs(left + width / 2 - 128) < 8
    assert abs(top + height / 2 - 128) < 8
    assert first.tilted or abs(shear) > 0.1


@pytest.mark.parametrize("turn", [0, 5, -8, 90, 180])
def test_an_upright_cross_is_told_apart(turn):
    found = hooked_crosses(with_cross(RED, turn=turn))
    assert found
    assert not any(symbol.tilted for symbol in found)


@pytest.mark.parametrize("turn", range(0, 90, 15))
def test_the_cross_on_temples_bends_the_other_way(turn):
    assert hooked_crosses(with_cross(RED, turn=turn, mirrored=True)) == []


def test_it_survives_noise_and_compression():
    rng = np.random.default_rng(0)
    noisy = (with_cross(RED, turn=45, size=40) + rng.normal(0, 8, RED.shape)).clip(0, 255).astype(np.uint8)
    pressed = cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    assert any(symbol.tilted for symbol in hooked_crosses(pressed))


@pytest.mark.parametrize("text", ["ZNSX", "H+#", "5382", "WMXK", "FLETJ"])
def test_letters_are_no_symbols(text):
    picture = RED.copy()
    cv2.putText(picture, text, (10, 150), cv2.FONT_HERSHEY_SIMPLEX, 2.2, (250, 250, 250), 12)
    for turn in (0, 45):
        turned = cv2.warpAffine(picture, cv2.getRotationMatrix2D((128, 128), turn, 0.8), (256, 256))
        assert hooked_crosses(turned) == []


def test_plain_crosses_wheels_and_windmills_are_none():
    picture = np.full((256, 256, 3), 230, np.uint8)
    cv2.line(picture, (40, 40), (110, 110), (0, 0, 0), 16)
    cv2.line(picture, (110, 40), (40, 110), (0, 0, 0), 16)
    cv2.circle(picture, (190, 70), 40, (0, 0, 0), 10)
    for angle in range(0, 360, 90):
        tip = (int(75 + 45 * np.cos(np.radians(angle))), int(190 + 45 * np.sin(np.radians(angle))))
        side = (int(75 + 45 * np.cos(np.radians(angle + 35))), int(190 + 45 * np.sin(np.radians(angle + 35))))
        cv2.fillPoly(picture, [np.array([(75, 190), tip, side])], (20, 20, 20))
    assert hooked_crosses(picture) == []


def test_rendered_worlds_hold_none():
    frames = rendered(random.Random(5), 9, (256, 256))
    assert [hooked_crosses(frame) for frame in frames[::4]] == [[], [], []]


@pytest.mark.parametrize("shape", [(1, 1), (16, 300), (3, 3)])
def test_small_and_flat_pictures_are_read(shape):
    assert hooked_crosses(np.zeros((*shape, 3), np.uint8)) == []
