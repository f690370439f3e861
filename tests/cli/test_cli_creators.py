import json

import pytest

from command_line import run


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))


def test_a_creator_opts_out_and_in_again(capsys):
    assert run(capsys, "creators", "list")[1] == "Nobody has opted out or in.\n"
    asked = "a harbour in the style of Wendeline Zorquist"
    assert json.loads(run(capsys, "check", asked, "--json")[1])["action"] == "allow"
    assert "not made any more" in run(capsys, "creators", "opt-out", "Wendeline Zorquist", "--proof", "mail")[1]
    assert json.loads(run(capsys, "check", asked, "--json")[1])["action"] == "rewrite"
    assert "may be asked for" in run(capsys, "creators", "opt-in", "Wendeline Zorquist", "--proof", "contract")[1]
    assert json.loads(run(capsys, "check", asked, "--json")[1])["action"] == "allow"
    (chosen,) = json.loads(run(capsys, "creators", "list", "--json")[1])["creators"]
    assert (chosen["choice"], chosen["thing"], chosen["proof"]) == ("in", "style", "contract")
    assert "Wendeline Zorquist  (contract)" in run(capsys, "creators", "list")[1]


@pytest.mark.parametrize(
    ("more", "told"),
    [(("", "--proof", "x"), "the name is ''"), (("A B", "--proof", " "), "how it is known"),
     (("A B", "--proof", "x", "--of", "voice"), "style or likeness")],
)  # fmt: skip
def test_mistakes_are_told(capsys, more, told):
    code, _, err = run(capsys, "creators", "opt-out", *more)
    assert (code, told in " ".join(err.split())) == (2, True)
