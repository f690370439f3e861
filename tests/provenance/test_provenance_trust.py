import pytest

from kinemark.errors import FailureError, RequestError
from kinemark.provenance.keys import require_keys
from kinemark.provenance.trust import add_operator, operators, remove_operator


@pytest.fixture
def root(tmp_path):
    """The root certificate of another installation."""
    require_keys(tmp_path / "other")
    return tmp_path / "other" / "root.pem"


def test_added_listed_removed(settings, root):
    added = add_operator("studio-1", root, settings)
    assert operators(settings) == [added]
    remove_operator("studio-1", settings)
    assert operators(settings) == []


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "-a", "a" * 64, "a/b", "a.b"])
def test_names_cannot_leave_the_folder(settings, root, name):
    with pytest.raises(RequestError, match="lower-case letters"):
        add_operator(name, root, settings)
    with pytest.raises(RequestError, match="nobody named"):
        remove_operator(name, settings)


def test_nothing_is_replaced_silently(settings, root, tmp_path):
    add_operator("one", root, settings)
    require_keys(tmp_path / "third")
    with pytest.raises(RequestError, match="trusted already"):
        add_operator("one", tmp_path / "third" / "root.pem", settings)
    with pytest.raises(RequestError, match="one is trusted already"):
        add_operator("two", root, settings)


def test_a_signers_certificate_or_garbage_is_refused(settings, root, tmp_path):
    with pytest.raises(RequestError, match="no root"):
        add_operator("a", root.parent / "signer.pem", settings)
    (tmp_path / "junk.pem").write_bytes(b"\0\1junk")
    with pytest.raises(RequestError, match="no certificate"):
        add_operator("a", tmp_path / "junk.pem", settings)
    with pytest.raises(RequestError, match="cannot read"):
        add_operator("a", tmp_path / "nowhere.pem", settings)
    assert operators(settings) == []


def test_a_damaged_file_in_the_folder_is_a_failure(settings, root):
    add_operator("one", root, settings)
    (settings.home / "trust" / "one.pem").write_text("damaged")
    with pytest.raises(FailureError, match="kinemark trust remove one"):
        operators(settings)
