"""Block lists: read strictly, kept sorted, searched where they lie."""

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.errors import FailureError, RequestError
from kinemark.safety.blocklist import KINDS, Blocklist, _holds
from kinemark.safety.frames.pdq import pdq


@pytest.fixture
def lists(tmp_path) -> Blocklist:
    return Blocklist(tmp_path / "lists")


DIGEST = st.binary(min_size=16, max_size=16)


def picture(seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[0:128, 0:160]
    return np.stack([127 + 100 * np.sin(x / (5 + seed + k) + y / 9) for k in range(3)], axis=-1).astype(np.uint8)


def test_an_empty_list_blocks_nothing(lists, tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    assert not lists.blocks_file(tmp_path / "f")
    assert lists.blocks_frames(picture()[None]) is None
    assert lists.counts() == dict.fromkeys(KINDS, 0)


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_a_listed_file_is_blocked_among_many(lists, tmp_path, kind):
    (tmp_path / "f").write_bytes(b"material")
    (tmp_path / "g").write_bytes(b"other")
    rng = random.Random(0)
    many = [f"{kind}:{rng.randbytes(KINDS[kind]).hex()}" for _ in range(1000)]
    listed = f"{kind}:{hashlib.new(kind, b'material').hexdigest()}"
    assert lists.add(["# a comment", "", *many, listed.upper().replace(kind.upper(), kind)]) == {kind: 1001}
    assert lists.blocks_file(tmp_path / "f")
    assert not lists.blocks_file(tmp_path / "g")


def test_lengths_say_which_kind_and_what_is_known_is_not_counted(lists):
    assert lists.add(["0" * 32, "0" * 40, "0" * 32]) == {"md5": 1, "sha1": 1}
    assert lists.add(["0" * 32, "1" * 32]) == {"md5": 1}
    assert lists.counts()["md5"] == 2


def test_a_picture_that_looks_like_a_listed_one_is_found_in_its_frame(lists):
    lists.add([f"pdq:{pdq(picture())[0].hex()}"])
    brighter = (picture() * 0.9 + 20).astype(np.uint8)
    frames = np.stack([picture(7), picture(7), brighter, picture(7)])
    assert lists.blocks_frames(frames) == 2
    assert lists.blocks_frames(frames[:2]) is None


def test_a_flat_picture_is_like_no_other(lists):
    flat = np.full((64, 64, 3), 9, np.uint8)
    lists.add([f"pdq:{pdq(flat)[0].hex()}"])
    assert lists.blocks_frames(flat[None]) is None


@pytest.mark.parametrize("line", ["xyz", "md5:12", "0" * 64, "crc:" + "0" * 8, "pdq:" + "g" * 64, "\N{SNOWMAN}" * 32])
def test_a_line_that_is_no_hash_is_told_and_nothing_is_added(lists, line):
    with pytest.raises(RequestError, match="line 2 is"):
        lists.add(["0" * 32, line])
    assert lists.counts()["md5"] == 0


@given(
    values=st.lists(st.binary(min_size=16, max_size=16), unique=True, max_size=40),
    other=st.binary(min_size=16, max_size=16),
)
def test_what_was_added_is_found_and_nothing_else(tmp_path_factory, values, other):
    folder = tmp_path_factory.mktemp("lists")
    lists = Blocklist(folder)
    lists.add(value.hex() for value in values)
    kept = lists._rows("md5")
    assert sorted(row.tobytes() for row in kept) == [row.tobytes() for row in kept] == sorted(values)
    assert all(_holds(kept, value) for value in values)
    assert _holds(kept, other) == (other in values)


def test_a_damaged_list_stops_everything(lists, tmp_path):
    lists.add(["0" * 32])
    (tmp_path / "lists" / "md5.bin").write_bytes(b"12345")
    with pytest.raises(FailureError, match="damaged"):
        lists.counts()


def test_a_file_that_cannot_be_read_is_not_let_through(lists, tmp_path):
    lists.add(["0" * 32])
    with pytest.raises(FailureError, match="cannot be compared"):
        lists.blocks_file(tmp_path / "missing")
