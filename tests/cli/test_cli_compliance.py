"""`kinemark compliance` on a file that it makes."""

import json

import pytest

from command_line import run


@pytest.mark.slow
def test_all_profiles(capsys, tmp_path):
    names = "eu,california,china,india,korea,new-york"
    code, out, _ = run(capsys, "compliance", "--profile", names, "--json", "--report", tmp_path / "table.md")
    results = json.loads(out)["results"]
    assert code == 0
    assert {result["shown"] for result in results} == {"shown", "not shown"}
    assert {result["profile"] for result in results} == set(names.split(","))
    assert "not legal advice" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(("names", "says"), [("mars", "choose among"), (",", "no profile was named")])
def test_bad_requests(capsys, names, says):
    code, _, err = run(capsys, "compliance", "--profile", names)
    assert code == 2
    assert says in err
