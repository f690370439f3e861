import json

import pytest

from command_line import run
from kinemark.safety.policy.file import SHIPPED, load_policy

VERSION = load_policy().version


@pytest.fixture
def tighter(tmp_path):
    path = tmp_path / "mine.toml"
    text = SHIPPED.read_text().replace(f'version = "{VERSION}"', 'version = "9.1.0"')
    path.write_text(text.replace('"strobe|', '"laser show", "strobe|'))
    return path


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))


def test_show_lists_categories_and_tells_one_in_full(capsys, tmp_path):
    code, out, _ = run(capsys, "policy", "show")
    assert code == 0
    assert "animal-cruelty" in out
    _, out, _ = run(capsys, "policy", "show", "photosensitive")
    assert "Source: WCAG" in out
    assert "Appeal: Say what you meant" in out
    _, out, _ = run(capsys, "policy", "show", "--json")
    assert json.loads(out)["version"] == VERSION
    run(capsys, "policy", "show", "-o", tmp_path / "copy.toml")
    assert (tmp_path / "copy.toml").read_bytes() == SHIPPED.read_bytes()


def test_an_unknown_category_is_named(capsys):
    code, _, err = run(capsys, "policy", "show", "nope")
    assert code == 2
    assert "no category 'nope'" in err


def test_a_policy_goes_from_a_file_into_force_and_judges(capsys, tighter):
    _, out, _ = run(capsys, "policy", "diff", tighter, "--json")
    assert {"direction": "tighter", "place": "photosensitive-1", "what": "phrase added: laser show"} in json.loads(out)[
        "changes"
    ]
    _, out, _ = run(capsys, "check", "a laser show over the sea", "--json")
    assert json.loads(out)["action"] == "allow"
    code, out, _ = run(capsys, "policy", "propose", tighter, "--days", "0")
    assert code == 0
    assert "kinemark policy adopt 9.1.0" in out
    run(capsys, "policy", "comment", "9.1.0", "good")
    _, out, _ = run(capsys, "policy", "proposals", "--json")
    assert json.loads(out)["proposals"][0]["comments"] == ["good"]
    code, _, _ = run(capsys, "policy", "adopt", "9.1.0")
    assert code == 0
    _, out, _ = run(capsys, "check", "a laser show over the sea", "--json")
    assert json.loads(out)["action"] == "label"
    assert json.loads(out)["policy_version"] == "9.1.0"
    _, out, _ = run(capsys, "info")
    assert "policy 9.1.0" in out


def test_a_policy_that_breaks_its_own_examples_fails_its_test(capsys, tmp_path):
    assert run(capsys, "policy", "test")[0] == 0
    broken = tmp_path / "broken.toml"
    broken.write_text(SHIPPED.read_text().replace('"a lion hunts a gazelle"', '"a man tortures a dog"'))
    code, out, _ = run(capsys, "policy", "test", broken, "--json")
    assert code == 1
    assert json.loads(out)["failures"][0]["prompt"] == "a man tortures a dog"


def test_a_file_of_prompts_is_judged_line_by_line(capsys, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a boat at sea\n\na man is beheaded with a machete\n", "utf-8-sig")
    code, out, _ = run(capsys, "check", "--file", prompts, "--jsonl")
    verdicts = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(v["line"], v["allow"]) for v in verdicts] == [(1, True), (3, False)]
    _, out, _ = run(capsys, "check", "--file", prompts)
    assert out.endswith(f"2 prompts: 1 allowed, 1 refused, by policy {VERSION}\n")
    lines = tmp_path / "prompts.jsonl"
    lines.write_text('{"prompt": "a boat at sea"}\n')
    assert json.loads(run(capsys, "check", "--file", lines, "--json")[1])["allow"]


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("a.txt", b"", "holds no prompt"),
        ("a.txt", b"\xff\xfe\x00", "is not UTF-8 text (byte 0)"),
        ("a.jsonl", b"[1]\n", 'line 1 is no JSON object with a "prompt"'),
        ("gone.txt", None, "cannot read"),
    ],
)
def test_a_bad_file_of_prompts_is_named(capsys, tmp_path, name, data, complaint):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    code, _, err = run(capsys, "check", "--file", path)
    assert code == 2
    assert complaint in err


def test_a_prompt_and_a_file_together_are_too_much(capsys, tmp_path):
    assert run(capsys, "check")[0] == 2
    assert run(capsys, "check", "a boat", "--file", tmp_path)[0] == 2
