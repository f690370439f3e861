import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.safety.prompt.wordpiece import UNKNOWN, WordPieces

PIECES = WordPieces(
    (
        "[PAD]",
        UNKNOWN,
        "[CLS]",
        "[SEP]",
        "boat",
        "##s",
        "sail",
        "##boat",
        "a",
        ",",
        *"bot",
        *(f"##{c}" for c in "abost"),
    )
)


def read(text):
    return [PIECES.texts[id_] for id_ in PIECES.encode(text)]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("A sailboat", ["a", "sail", "##boat"]),
        ("boats,boat", ["boat", "##s", ",", "boat"]),
        ("bôats", ["boat", "##s"]),
        ("botab", ["b", "##o", "##t", "##a", "##b"]),
        ("boat zebra a", ["boat", UNKNOWN, "a"]),
        ("", []),
        (" \n ", []),
        ("b" * 101, [UNKNOWN]),
    ],
)
def test_the_longest_known_piece_comes_first(text, pieces):
    assert read(text) == pieces


@given(st.text(alphabet="abost ", max_size=40))
def test_pieces_put_together_are_the_text(text):
    if UNKNOWN not in (pieces := read(text)):
        assert "".join(piece.removeprefix("##") for piece in pieces) == text.replace(" ", "")


@given(st.text(max_size=200))
def test_any_text_can_be_read(text):
    assert all(0 <= id_ < len(PIECES.texts) for id_ in PIECES.encode(text))


def test_long_texts_take_bounded_time():
    for text in ("boat " * 6400, "b" * 32_000, "\U0001f600" * 10_000, "a,b.c!" * 5_000):
        start = time.perf_counter()
        PIECES.encode(text)
        assert time.perf_counter() - start < 2


def test_a_list_is_read_in_the_order_of_its_ids(tmp_path):
    (tmp_path / "v.txt").write_text("[UNK]\na\n##b\n")
    assert WordPieces.read(tmp_path / "v.txt").ids == {"[UNK]": 0, "a": 1, "##b": 2}
