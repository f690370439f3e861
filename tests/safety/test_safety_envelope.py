"""Envelopes open with their key and name alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.safety.envelope import decrypted, encrypted, new_key, write_private


@given(content=st.binary(max_size=100), name=st.text(max_size=20))
def test_what_is_put_away_comes_back(content, name):
    key = new_key()
    away = encrypted(content, key, name)
    assert decrypted(away, key, name) == content
    assert away != encrypted(content, key, name)


@given(at=st.integers(0, 40))
def test_nothing_else_opens_it(at):
    key = new_key()
    away = bytearray(encrypted(b"thirteen bytes", key, "name"))
    for attempt in (lambda: decrypted(bytes(away), new_key(), "name"), lambda: decrypted(bytes(away), key, "other")):
        with pytest.raises(ValueError):
            attempt()
    away[at] ^= 1
    with pytest.raises(ValueError):
        decrypted(bytes(away), key, "name")
    with pytest.raises(ValueError):
        decrypted(b"short", key, "name")


def test_nobody_else_reads_what_is_written(tmp_path):
    write_private(tmp_path / "f", b"1")
    write_private(tmp_path / "f", b"2")
    assert ((tmp_path / "f").read_bytes(), (tmp_path / "f").stat().st_mode & 0o777) == (b"2", 0o600)
