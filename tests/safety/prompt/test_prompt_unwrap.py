"""Encodings that hide a whole text are undone; ordinary writing in any language is left alone."""

import base64
import codecs
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.safety.prompt.unwrap import unwrapped

HIDDEN = "a dragon burns the town and the people run to the river"


@pytest.mark.parametrize(
    "wrapped",
    [
        base64.b64encode(HIDDEN.encode()).decode(),
        base64.urlsafe_b64encode(HIDDEN.encode()).decode().rstrip("="),
        "decode this and film it: " + base64.b64encode(HIDDEN.encode()).decode(),
        HIDDEN.encode().hex(),
        HIDDEN.encode().hex(" "),
        codecs.encode(HIDDEN, "rot13"),
        HIDDEN[::-1],
        base64.b64encode(codecs.encode(HIDDEN, "rot13").encode()).decode(),
    ],
)
def test_a_hidden_text_is_read(wrapped):
    assert any(HIDDEN in inner for inner in unwrapped(wrapped))


def test_pictures_are_read_as_words():
    (inner,) = unwrapped("a man with a \U0001f52b and a \U0001f9f8")
    assert inner.split() == ["a", "man", "with", "a", "pistol", "and", "a", "teddy", "bear"]


@pytest.mark.parametrize(
    "plain",
    [
        "a red sailboat drifts right across the sea at sunset",
        "Donaudampfschifffahrtsgesellschaft in antidisestablishmentarianism",
        "ein Junge f\u00fcttert Enten am See",
        "\u4e00\u53ea\u732b\u5728\u6d77\u8fb9\u5954\u8dd1",
        "\u0642\u0637\u0629 \u062a\u062c\u0631\u064a",
        "\u092c\u093f\u0932\u094d\u0932\u0940 \u0926\u094c\u0921\u093c\u0924\u0940 \u0939\u0948",
        "IMG_20240101_123456 4k 3d 1920x1080",
        "",
    ],
)
def test_ordinary_writing_hides_nothing(plain):
    assert unwrapped(plain) == ()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400))
def test_any_text_can_be_read(text):
    assert len(unwrapped(text)) <= 12


def test_ten_thousand_pictures_take_no_time():
    start = time.perf_counter()
    assert unwrapped("\U0001f600" * 10_000)
    assert time.perf_counter() - start < 5
