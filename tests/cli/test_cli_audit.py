import json

import pytest

from command_line import run


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "l.csv").write_text("prompt,attribute,value\n" + "a person,hair,dark\n" * 40)
    (tmp_path / "r.csv").write_text("attribute,value,share\nhair,dark,0.5\nhair,fair,0.5\n")
    return tmp_path


def test_labels_are_compared_with_a_reference(capsys, tables):
    printed = run(capsys, "audit", tables / "l.csv", "--reference", tables / "r.csv", "-o", tables / "page.md")[1]
    assert "more than chance explains" in printed
    assert (tables / "page.md").read_text() in printed + "\n"
    found = json.loads(run(capsys, "audit", tables / "l.csv", "--reference", tables / "r.csv", "--json")[1])
    assert (found["hair"]["skewed"], found["hair"]["left_out"]) == (True, ["fair"])


@pytest.mark.parametrize(("arguments", "told"), [(["l.csv"], "need a reference"), (["--clips", "0"], "--clips is 0")])
def test_mistakes_are_told(capsys, tables, arguments, told):
    code, _, err = run(capsys, "audit", *arguments)
    assert (code, told in " ".join(err.split())) == (2, True)
