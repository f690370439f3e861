import datetime as dt

import pytest

from kinemark.errors import FailureError, RequestError
from kinemark.provenance.signing.anchors import revocation_list
from kinemark.provenance.signing.certificates import read_chain
from kinemark.provenance.signing.keys import read_private_key, require_keys
from kinemark.provenance.signing.trust import add, operator_anchors, remove, time_roots, trusted, update


@pytest.fixture
def root(tmp_path):
    """The root certificate of another installation."""
    require_keys(tmp_path / "other")
    return tmp_path / "other" / "root.pem"


def test_added_listed_removed(settings, root):
    added = add("studio-1", root, settings)
    assert trusted(settings) == [added]
    remove("studio-1", settings)
    assert trusted(settings) == []


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "-a", "a" * 64, "a/b", "a.b"])
def test_names_cannot_leave_the_folder(settings, root, name):
    with pytest.raises(RequestError, match="lower-case letters"):
        add(name, root, settings)
    with pytest.raises(RequestError, match="nobody named"):
        remove(name, settings)


def test_nothing_is_replaced_silently(settings, root, tmp_path):
    add("one", root, settings)
    require_keys(tmp_path / "third")
    with pytest.raises(RequestError, match="trusted already"):
        add("one", tmp_path / "third" / "root.pem", settings)
    with pytest.raises(RequestError, match="one is trusted already"):
        add("two", root, settings)


def test_a_signers_certificate_or_garbage_is_refused(settings, root, tmp_path):
    with pytest.raises(RequestError, match="no root"):
        add("a", root.parent / "signer.pem", settings)
    (tmp_path / "junk.pem").write_bytes(b"\0\1junk")
    with pytest.raises(RequestError, match="no certificate"):
        add("a", tmp_path / "junk.pem", settings)
    with pytest.raises(RequestError, match="cannot read"):
        add("a", tmp_path / "nowhere.pem", settings)
    assert trusted(settings) == []


def test_a_damaged_file_in_the_folder_is_a_failure(settings, root):
    add("one", root, settings)
    (settings.home / "trust" / "one.pem").write_text("damaged")
    with pytest.raises(FailureError, match="kinemark trust remove one"):
        trusted(settings)


def revocations(folder, serials, when):
    """A list of an installation, PEM."""
    root, key = read_chain((folder / "root.pem").read_bytes(), "")[0], read_private_key(folder / "root-key.pem")
    return revocation_list(root, key, dict.fromkeys(serials, when), when)


def test_an_operators_withdrawn_certificates_are_taken_over(settings, root, tmp_path):
    add("one", root, settings)
    now = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    (tmp_path / "list").write_bytes(revocations(root.parent, [7, 9], now))
    assert operator_anchors(settings)[0].revoked == {}
    assert update("one", tmp_path / "list", settings) == 2
    assert operator_anchors(settings)[0].revoked == {7: now, 9: now}
    remove("one", settings)
    assert list((settings.home / "trust").glob("*.*")) == []


def test_an_older_list_or_a_strangers_is_refused(settings, root, tmp_path):
    add("one", root, settings)
    now = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    for name, folder, when in (("new", root.parent, now), ("old", root.parent, now - dt.timedelta(days=1))):
        (tmp_path / name).write_bytes(revocations(folder, [7], when))
    require_keys(tmp_path / "stranger")
    (tmp_path / "strange").write_bytes(revocations(tmp_path / "stranger", [7], now))
    update("one", tmp_path / "new", settings)
    with pytest.raises(RequestError, match="ask the operator for the newest"):
        update("one", tmp_path / "old", settings)
    with pytest.raises(RequestError, match="was not signed by"):
        update("one", tmp_path / "strange", settings)
    with pytest.raises(RequestError, match="nobody named"):
        update("two", tmp_path / "new", settings)
    assert operator_anchors(settings)[0].revoked == {7: now}


def test_a_time_stamping_authority_vouches_for_times_only(settings, root):
    add("clock", root, settings, time=True)
    assert operator_anchors(settings) == []
    assert time_roots(settings) == root.read_text()
    with pytest.raises(RequestError, match="stamps times"):
        update("clock", root, settings)
    remove("clock", settings)
    assert time_roots(settings) == ""


def test_a_damaged_list_is_a_failure_and_not_no_list(settings, root):
    add("one", root, settings)
    (settings.home / "trust" / "one.crl").write_text("damaged")
    with pytest.raises(FailureError, match="kinemark trust update one"):
        operator_anchors(settings)
