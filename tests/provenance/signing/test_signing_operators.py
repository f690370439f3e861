import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signed_files import operators_own

from kinemark.errors import RequestError
from kinemark.provenance.signing import trust
from kinemark.provenance.signing.keys import require_keys
from kinemark.provenance.signing.operators import document, read_document
from kinemark.provenance.signing.rotation import revoke, use_operator


def test_a_document_reads_as_it_was_written(tmp_path):
    keys = require_keys(tmp_path / "keys")
    said = read_document(json.dumps(document(keys, tmp_path / "keys", "https://studio.example")).encode(), "x")
    assert (said.root_pem, said.serials, said.revoked_pem) == (keys.root_pem, None, None)
    assert said.resolver == "https://studio.example"


def test_revocations_travel_with_it(settings, tmp_path):
    keys = require_keys(tmp_path / "keys")
    now = revoke(tmp_path / "keys")
    (tmp_path / "doc.json").write_text(json.dumps(document(now, tmp_path / "keys", "https://studio.example")))
    trust.add("studio", tmp_path / "doc.json", settings)
    (anchor,) = trust.operator_anchors(settings)
    assert list(anchor.revoked) == [keys.serial]


def test_an_authoritys_other_customers_are_not_the_operator(settings, tmp_path):
    chain, key, _ = operators_own(tmp_path / "operator")
    used = use_operator(tmp_path / "keys", chain, key)
    (tmp_path / "doc.json").write_text(json.dumps(document(used, tmp_path / "keys", "https://studio.example")))
    trust.add("studio", tmp_path / "doc.json", settings)
    (anchor,) = trust.operator_anchors(settings)
    assert anchor.serials == {used.serial}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kinemark_operator": 2}, "version 2"),
        ({"root": None}, "lacks a root"),
        ({"revoked": 3}, "no text"),
        ({"resolver": "file:///etc/passwd"}, "http"),
        ({"signers": "xyz"}, "no operator's document"),
        ({"signers": 3}, "no operator's document"),
    ],
)
def test_what_is_wrong_with_it_is_said(tmp_path, change, says):
    said = document(require_keys(tmp_path / "keys"), tmp_path / "keys", "https://studio.example") | change
    with pytest.raises(RequestError, match=says):
        read_document(json.dumps(said).encode(), "the file")


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: json.dumps({"root": text}).encode())))
def test_anything_else_is_refused(data):
    with pytest.raises(RequestError):
        read_document(data, "the file")
    with pytest.raises(RequestError, match="at most"):
        read_document(data + b" " * (300 << 10), "the file")
