"""Exit codes, messages and JSON of the command line, in this process; a few in one of their own."""

import json
import subprocess
import sys

import pytest

from command_line import run
from kinemark import __version__
from kinemark.errors import FailureError

BAD = "a beheaded soldier"


def test_help_lists_the_verbs(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(verb in out for verb in ("generate", "verify", "check", "evaluate", "train", "info"))


def test_version_is_one_line(capsys):
    assert run(capsys, "--version") == (0, f"Kinemark {__version__}\n", "")


@pytest.mark.parametrize("verb", ["generate", "verify", "check", "evaluate", "train", "info"])
def test_every_verb_explains_itself(capsys, verb):
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert "--json" in out


@pytest.mark.parametrize("args", [("nonsense",), ("generate",), ("check", "x", "--nonsense"), ("train", "spark")])
def test_what_cannot_be_parsed_is_a_bad_request(capsys, args):
    code, out, err = run(capsys, *args)
    assert code == 2
    assert out == ""
    assert err


def test_an_error_is_one_message_without_a_traceback(capsys):
    code, out, err = run(capsys, "verify", "/nowhere.mp4")
    assert code == 2
    assert out == ""
    assert err.startswith("kinemark: /nowhere.mp4 does not exist")
    assert "Traceback" not in err


def test_under_json_an_error_is_an_object_too(capsys):
    code, out, err = run(capsys, "verify", "/nowhere.mp4", "--json")
    answer = json.loads(out)
    assert code == answer["exit_code"] == 2
    assert answer["error"] in err


def test_an_unexpected_error_is_told_in_one_message(capsys, monkeypatch):
    monkeypatch.setattr("kinemark.settings.load_settings", lambda: 1 / 0)
    code, out, err = run(capsys, "info", "--json")
    assert code == 1
    assert "ZeroDivisionError" in json.loads(out)["error"]
    assert "Please report" in err
    assert "Traceback" not in err


def test_a_failure_has_exit_code_one(capsys, monkeypatch):
    def fail():
        raise FailureError("the ledger is damaged; restore it")

    monkeypatch.setattr("kinemark.settings.load_settings", fail)
    assert run(capsys, "info") == (1, "", "kinemark: the ledger is damaged; restore it\n")


def test_check_allows(capsys):
    code, out, _ = run(capsys, "check", "a red sailboat at sunset", "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["allow"], answer["action"], answer["category"], answer["stage"]) == (True, "allow", None, "prompt")
    assert {"rule", "reason", "policy_version"} <= answer.keys()


def test_check_refuses_and_has_answered(capsys):
    code, out, _ = run(capsys, "check", BAD, "--json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["allow"], answer["action"], answer["category"]) == (False, "refuse", "violence")
    assert answer["appeal"]


def test_check_in_words(capsys):
    _, out, _ = run(capsys, "check", BAD)
    assert "Refused" in out
    assert "violence" in out


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_check_of_nothing_is_a_bad_request(capsys, prompt):
    code, _, err = run(capsys, "check", prompt)
    assert code == 2
    assert "empty" in err


def test_check_with_a_policy_that_is_none(capsys, tmp_path):
    (tmp_path / "mine.toml").write_text("version = ")
    code, _, err = run(capsys, "check", "x", "--policy", str(tmp_path / "mine.toml"))
    assert code == 2
    assert "mine.toml is not TOML" in err


def test_info_lists_what_there_is(capsys):
    code, out, _ = run(capsys, "info", "--json")
    facts = json.loads(out)
    assert code == 0
    assert "spark" in facts["models"]
    assert "sailboat" in facts["spark"]["subject"]
    assert "sailboat" in run(capsys, "info")[1]


def test_evaluate_needs_a_model_and_a_number(capsys):
    assert run(capsys, "evaluate", "nothing")[0] == 2
    code, _, err = run(capsys, "evaluate", "spark", "--prompts", "0")
    assert code == 2
    assert "--prompts is 0" in err
    code, _, err = run(capsys, "evaluate", "spark", "--verbs", "fly")
    assert code == 2
    assert "'fly'" in err
    assert "extend before" in err
    for contradicting in (["--trials", "3"], ["--verbs", "all", "--prompts", "3"], ["--verbs", "all", "--trials", "0"]):
        assert run(capsys, "evaluate", "spark", *contradicting)[0] == 2
    code, _, err = run(capsys, "evaluate", "spark", "--record")
    assert code == 2
    assert "give the path of the file" in err


def test_train_refuses_what_it_cannot_do(capsys, tmp_path):
    assert run(capsys, "train", "sora", "--minutes", "1", "--out", str(tmp_path))[0] == 2
    code, _, err = run(capsys, "train", "spark", "--minutes", "1", "--out", str(tmp_path), "--resume")
    assert code == 2
    assert "no run to resume" in err
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "state.pt").touch()
    code, _, err = run(capsys, "train", "spark", "--minutes", "1", "--out", str(tmp_path))
    assert code == 2
    assert "add --resume" in err
    code, _, err = run(capsys, "train", "spark", "--minutes", "1", "--out", str(tmp_path), "--part", "hands")
    assert code == 2
    assert "scene, detail, upsampler" in err


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_train_needs_time(capsys, tmp_path, minutes):
    code, _, err = run(capsys, "train", "spark", f"--minutes={minutes}", "--out", str(tmp_path / "run"))
    assert code == 2
    assert "minutes" in err
    assert not (tmp_path / "run").exists()


def test_the_module_can_be_run():
    result = subprocess.run([sys.executable, "-m", "kinemark", "check", "", "--json"], capture_output=True, text=True)
    assert result.returncode == 2
    assert json.loads(result.stdout)["exit_code"] == 2
    assert result.stderr.count("\n") == 1


def test_an_interrupt_is_no_failure(capsys, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("kinemark.settings.load_settings", interrupted)
    code, out, err = run(capsys, "info")
    assert (code, out) == (130, "")
    assert "Traceback" not in err
