import pytest

from kinemark.errors import RequestError
from kinemark.provenance.signing.credits import Credits


def test_nothing_is_said_unless_somebody_says_it(tmp_path):
    (tmp_path / "none.toml").write_text("")
    assert Credits.read(tmp_path / "none.toml").assertion() is None


def test_a_file_becomes_the_assertion(tmp_path):
    path = tmp_path / "credits.toml"
    path.write_text('creator = "A Studio"\nhuman_part = "prompt and edit"\nowner = "Them"\nlicence = "CC-BY-4.0"\n')
    said = Credits.read(path).assertion()
    assert said["dc:creator"] == ["A Studio"]
    assert said["xmpRights:Owner"] == ["Them"]
    assert said["xmpRights:UsageTerms"] == "CC-BY-4.0"
    assert "prompt and edit" in said["dc:description"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("author = 'x'", "creator, human_part"),
        ("owner = 3", "is to be text"),
        (f"owner = '{'x' * 501}'", "500"),
        ("owner", "cannot read"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_request_error(tmp_path, text, says):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(RequestError, match=says):
        Credits.read(tmp_path / "bad.toml")
    with pytest.raises(RequestError, match="cannot read"):
        Credits.read(tmp_path / "nowhere.toml")
