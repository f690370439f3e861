import json

import pytest

from command_line import run
from kinemark.provenance.records.ledger import Ledger
from kinemark.settings import load_settings


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))


def opened(capsys, kind, *more):
    return json.loads(run(capsys, kind, "open", "clip-7", "please look", *more, "--json")[1])


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [("appeal", "overturned"), ("report", "acted"), ("takedown", "removed"), ("incident", "resolved")],
)
def test_a_case_goes_its_whole_way(capsys, kind, outcome):
    case = opened(capsys, kind)["case"]
    assert json.loads(run(capsys, kind, "list", "--pending", "--json")[1])["cases"][0]["case"] == case
    assert "is with Kim" in run(capsys, kind, "assign", case, "Kim")[1]
    code, printed, _ = run(capsys, kind, "decide", case, outcome, "seen by two people", "--by", "Kim")
    assert code == 0
    assert outcome in printed
    statement = json.loads(run(capsys, kind, "show", case, "--json")[1])
    assert (statement["outcome"], statement["reasons"]) == (outcome, "seen by two people")
    assert "please look" in run(capsys, kind, "show", case)[1]
    assert run(capsys, kind, "list", "--pending")[1] == "No case.\n"
    assert outcome in run(capsys, kind, "list")[1]


def test_a_ground_sets_the_clock_and_an_unknown_one_is_named(capsys):
    assert "TAKE IT DOWN" in opened(capsys, "takedown", "--ground", "intimate")["clock"]
    code, _, err = run(capsys, "takedown", "open", "clip", "mine", "--ground", "nope")
    assert code == 2
    assert "choose one of: likeness, intimate" in err


def test_an_unknown_case_is_named(capsys):
    code, _, err = run(capsys, "appeal", "show", "appeal-1")
    assert code == 2
    assert "there is no case 'appeal-1'" in err


def test_a_takedown_that_is_granted_is_entered_in_the_ledger(capsys, tmp_path):
    clip = tmp_path / "clip.mp4"
    made = run(
        capsys, "generate", "a red boat", "-o", clip, "--seconds", 0.5, "--steps", 1, "--size", "128x128", "--json"
    )
    id_ = json.loads(made[1])["id"]
    for outcome in ("rejected", "removed", "removed"):
        case = json.loads(run(capsys, "takedown", "open", id_, "that is me", "--json")[1])["case"]
        assert run(capsys, "takedown", "decide", case, outcome, "seen", "--by", "Kim")[0] == 0
    with Ledger.open(load_settings().ledger_path) as ledger:
        assert [entry.event for entry in ledger.entries()] == ["release", "takedown"]
    code, _, err = run(capsys, "extend", clip, "a red boat", "-o", tmp_path / "next.mp4")
    assert (code, "taken down" in " ".join(err.split())) == (3, True)
