import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemark.provenance.other_makers import LOOKED_AT, other_marks

IPTC = b"http://cv.iptc.org/newscodes/digitalsourcetype/"
AIGC = b'{"Label":"1","ContentProducer":"Studio","ProduceID":"7"}'


def marks(folder, content):
    (folder / "file.bin").write_bytes(content)
    return other_marks(folder / "file.bin")


def test_what_ai_says_of_itself(tmp_path):
    [mark] = marks(tmp_path, b"<xmp>" + IPTC + b"trainedAlgorithmicMedia</xmp>")
    assert mark.claims_ai
    assert "trainedAlgorithmicMedia" in mark.says


def test_a_camera_is_no_ai(tmp_path):
    [mark] = marks(tmp_path, IPTC + b"digitalCapture" + b"\0" * 9)
    assert not mark.claims_ai


def test_the_aigc_tag_names_its_producer(tmp_path):
    [mark] = marks(tmp_path, b"\0\0udta AIGC=" + AIGC)
    assert mark.claims_ai
    assert "Studio" in mark.says
    [suspected] = marks(tmp_path, AIGC.replace(b'"1"', b'"3"'))
    assert "suspected" in suspected.says
    assert not suspected.claims_ai


def test_each_mark_once_and_also_at_the_end_of_a_large_file(tmp_path):
    path = tmp_path / "large.bin"
    with path.open("wb") as file:
        file.write(AIGC * 3)
        file.seek(3 * LOOKED_AT)
        file.write(IPTC + b"algorithmicMedia")
    assert [mark.standard[:4] for mark in other_marks(path)] == ["IPTC", "AIGC"]


@pytest.mark.parametrize("content", [b"", b"digitalSourceType", b'{"Label":"9","ContentProducer":"x"}', b"{" * 100_000])
def test_nothing_is_nothing(tmp_path, content):
    assert marks(tmp_path, content) == ()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=40))
def test_any_bytes_are_read_without_harm(tmp_path_factory, around, inside):
    folder = tmp_path_factory.mktemp("any")
    content = around + IPTC + inside + AIGC[:30] + inside + os.urandom(8)
    for mark in marks(folder, content):
        assert len(mark.says) < 400
