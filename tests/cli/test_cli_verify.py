"""`kinemark verify` on files, folders and reports."""

import csv
import json

import pytest

from command_line import moving_ramp, released_ramp, run
from kinemark.cli.verify import _harmless
from kinemark.data.encode import encode_mp4


@pytest.fixture
def folder(tmp_path):
    """One clip of ours, one that is not, one that is broken."""
    (tmp_path / "files" / "deep").mkdir(parents=True)
    released_ramp(tmp_path / "files" / "deep" / "ours.mp4")
    encode_mp4(moving_ramp()[:, ::-1], 8, tmp_path / "files" / "foreign.mp4")
    (tmp_path / "files" / "=broken.mp4").write_bytes(b"no video")
    (tmp_path / "files" / "notes.txt").write_text("left alone")
    return tmp_path / "files"


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_folder_gives_a_row_a_file_and_never_stops(folder, tmp_path, capsys, jobs):
    code, out, _ = run(capsys, "verify", folder, "--csv", tmp_path / "out.csv", "--quick", "--jobs", jobs)
    assert code == 0
    assert "3 files: 1 recognised, 1 not readable" in out
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = {row["path"].rpartition("/")[2]: row for row in csv.DictReader(file)}
    assert rows["ours.mp4"]["made_by"] == "this_installation"
    assert rows["foreign.mp4"]["recognised"] == "false"
    assert "not a video" in rows["=broken.mp4"]["error"]


def test_a_folder_as_json(folder, capsys):
    code, out, _ = run(capsys, "verify", folder, "--quick", "--json")
    assert code == 0
    assert [row["recognised"] for row in json.loads(out)["files"]] == ["", True, False]


def test_a_report_and_its_check(folder, tmp_path, capsys):
    page = tmp_path / "evidence.html"
    assert run(capsys, "verify", folder / "deep" / "ours.mp4", "--report", page)[0] == 0
    assert "as it was signed" in run(capsys, "verify", page)[1]
    page.write_text(page.read_text().replace("this installation", "another one"))
    code, out, _ = run(capsys, "verify", page)
    assert code == 0
    assert "NOT" in out
    assert json.loads(run(capsys, "verify", page, "--json")[1])["intact"] is False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("{folder}", "--report", "x.html"), "about one file"),
        (("{folder}/deep/ours.mp4", "--csv", "x.csv"), "about a folder"),
        (("{folder}/deep/ours.mp4", "--report", "x.pdf"), "ending .html"),
        (("{folder}/deep/ours.mp4", "--report", "/nowhere/x.html"), "cannot write"),
        (("{folder}", "--jobs", "0"), "at least 1"),
        (("{folder}/nothing.html",), "does not exist"),
    ],
)
def test_bad_requests_say_what_to_do(folder, capsys, arguments, says):
    code, _, err = run(capsys, "verify", *(argument.format(folder=folder) for argument in arguments))
    assert code == 2
    assert says in " ".join(err.split())


def test_an_empty_folder_says_what_is_known(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    code, _, err = run(capsys, "verify", tmp_path / "empty")
    assert code == 2
    assert ".mp4" in err


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_no_cell_is_a_formula(text):
    assert _harmless(text) == "'" + text
    assert _harmless("a" + text) == "a" + text
