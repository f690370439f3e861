"""`kinemark robustness` from arguments to the table."""

import json

import pytest

from command_line import run


@pytest.mark.slow
def test_one_row_of_the_quick_suite(capsys, tmp_path):
    arguments = ("robustness", "--suite", "quick", "--rows", "backwards", "--json", "-o", tmp_path / "table.md")
    code, out, err = run(capsys, *arguments)
    table = json.loads(out)
    [row] = table["tables"]["256"]["kinemark"]
    assert row["row"] == "backwards"
    assert code == (1 if table["missed"] else 0)
    assert "backwards" in (tmp_path / "table.md").read_text()
    assert "backwards: payload" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--suite", "huge"), "core"),
        (("--clips", "/nowhere"), "no folder"),
        (("--suite", "quick", "--rows", "x?"), "CRF"),
    ],
)
def test_bad_requests_say_what_is_there(capsys, arguments, says):
    code, _, err = run(capsys, "robustness", *arguments)
    assert code == 2
    assert says in err
