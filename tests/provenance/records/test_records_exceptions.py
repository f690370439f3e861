"""Exceptions: signed by this installation's key, entered for everybody to see, and worth nothing under another key."""

import datetime as dt

import pytest

from kinemark.errors import RequestError
from kinemark.provenance.records.exceptions import sign_exception, standing
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.signing.keys import require_keys

WHAT = "photoreal-without-classifier"
NOW = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "ledger.sqlite", create=True) as opened:
        yield opened


def test_an_exception_stands_with_its_name_and_reason(ledger, tmp_path):
    keys = require_keys(tmp_path / "keys")
    assert standing(ledger, keys, WHAT) is None
    entry = sign_exception(ledger, keys, WHAT, by=" Kim ", reason="a closed trial", now=NOW)
    assert standing(ledger, keys, WHAT) == entry
    assert (entry.body["by"], entry.body["reason"]) == ("Kim", "a closed trial")
    assert ledger.verify_chain() == []


def test_another_key_or_another_text_signs_nothing(ledger, tmp_path):
    keys = require_keys(tmp_path / "keys")
    entry = sign_exception(ledger, keys, WHAT, by="Kim", reason="a closed trial", now=NOW)
    assert standing(ledger, require_keys(tmp_path / "others"), WHAT) is None
    with Ledger.open(tmp_path / "forged.sqlite", create=True) as forged:
        for change in ({"by": "Lee"}, {"signature": "00"}, {"signature": 3}, {"exception": "everything"}):
            forged.append("exception", forged.new_id(), {**entry.body, **change})
        forged.append("exception", forged.new_id(), {})
        assert standing(forged, keys, WHAT) is None


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("x", " ")])
def test_nobody_signs_without_a_name_and_a_reason(ledger, tmp_path, by, reason):
    with pytest.raises(RequestError, match="needs the name"):
        sign_exception(ledger, require_keys(tmp_path / "keys"), WHAT, by=by, reason=reason, now=NOW)
    assert len(ledger) == 0
