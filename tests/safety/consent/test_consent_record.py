"""A record of consent is read as it is written, or its error says which field is wrong."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinemark.errors import RequestError
from kinemark.safety.consent.record import MAX_FILE, read_consent

TODAY = dt.date(2026, 6, 1)
RECORD = """
handle: ada
description: a tall woman with short grey hair
given_by: person
adult: true
proof: signed form, folder 12
scope:
  verbs: [generate, edit]
  modalities: [face]
  audience: all
  forbidden: ["politic*", "gun|guns"]
  until: 2027-06-01
"""


def read(tmp_path, text):
    path = tmp_path / "ada.yaml"
    path.write_text(text)
    return read_consent(path, today=TODAY)


def test_a_record_is_read(tmp_path):
    consent = read(tmp_path, RECORD)
    assert consent.handle == "ada"
    assert consent.scope.verbs == ["generate", "edit"]
    assert consent.scope.until == dt.date(2027, 6, 1)
    assert not consent.scope.commercial


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("handle: ada", "handle: Ada Lovelace", "handle"),
        ("adult: true", "adult: false", "adult"),
        ("given_by: person", "given_by: parent", "given_by"),
        ("proof: signed form, folder 12", "", "proof"),
        ("audience: all", "audience: listed", "listed"),
        ("audience: all", "audience: all\n  listed: [bob]", "listed"),
        ("until: 2027-06-01", "until: 2026-01-01", "cannot be entered today"),
        ("until: 2027-06-01", "until: 2099-01-01", "cannot be entered today"),
        ('"politic*"', '"..."', "holds no word"),
        ("proof:", "assurance: verified\nproof:", "assurance"),
        (RECORD, "- a\n- b", "begins with list"),
        (RECORD, "a: [", "not YAML"),
        (RECORD, "!!python/object/apply:os.system ['true']", "not YAML"),
        (RECORD, "x" * (MAX_FILE + 1), "larger than"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, said):
    assert old in RECORD
    with pytest.raises(RequestError, match=said):
        read(tmp_path, RECORD.replace(old, new))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RequestError, match="cannot read"):
        read_consent(tmp_path / "no.yaml", today=TODAY)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_a_record_or_an_error(tmp_path, data):
    path = tmp_path / "x.yaml"
    path.write_bytes(data)
    with pytest.raises(RequestError):
        read_consent(path, today=TODAY)
