"""Sealed material is unreadable, opened by name, and every opening stays on record."""

import datetime as dt

import pytest

from kinemark.errors import FailureError, RequestError
from kinemark.safety.seal import open_sealed, seal, sealed

NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
MATERIAL = b"what was given, as it was given"


def test_nothing_of_it_lies_on_the_disk(tmp_path):
    one = seal(tmp_path / "sealed", MATERIAL, "blocklist", now=NOW)
    assert all(MATERIAL[:8] not in path.read_bytes() for path in (tmp_path / "sealed").iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "sealed").iterdir())
    assert sealed(tmp_path / "sealed") == [one]
    assert (one.rule, one.size, one.opened) == ("blocklist", len(MATERIAL), ())


def test_it_is_opened_by_somebody_for_somebody(tmp_path):
    one = seal(tmp_path, MATERIAL, "blocklist", now=NOW)
    assert open_sealed(tmp_path, one.id, by="Kim", to="authority, 7/26", now=NOW) == MATERIAL
    assert sealed(tmp_path)[0].opened == ("2026-11-27T00:00:00+00:00 by Kim for authority, 7/26",)


@pytest.mark.parametrize(("by", "to"), [("", "x"), ("x", " ")])
def test_nobody_opens_it_without_names(tmp_path, by, to):
    one = seal(tmp_path, MATERIAL, "blocklist", now=NOW)
    with pytest.raises(RequestError, match="say who opens it"):
        open_sealed(tmp_path, one.id, by=by, to=to, now=NOW)
    assert sealed(tmp_path)[0].opened == ()


@pytest.mark.parametrize("id_", ["sealed-0", "../keys", ""])
def test_what_is_not_sealed_is_told(tmp_path, id_):
    seal(tmp_path, MATERIAL, "blocklist", now=NOW)
    with pytest.raises(RequestError, match="nothing is sealed"):
        open_sealed(tmp_path, id_, by="Kim", to="authority", now=NOW)


@pytest.mark.parametrize("ending", ["bin", "key"])
def test_damage_is_told(tmp_path, ending):
    one = seal(tmp_path, MATERIAL, "blocklist", now=NOW)
    path = tmp_path / f"{one.id}.{ending}"
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(FailureError, match="cannot be opened"):
        open_sealed(tmp_path, one.id, by="Kim", to="authority", now=NOW)


def test_an_empty_folder_holds_nothing(tmp_path):
    assert sealed(tmp_path / "none") == []
