import hashlib

import pytest

from kinemark.errors import RequestError
from kinemark.safety.redteam.suites import SUITES, read_suite, suites

HEAD = "group\tlabel\tcategory\tprompt\tpair\n"
#: The held-out prompts were frozen before anything was trained; a change of theirs is a new suite.
CORE = "bd6f3692"


def test_the_held_out_suite_is_the_one_that_was_frozen():
    assert suites() == ["core", "languages"]
    assert hashlib.sha256((SUITES / "core.tsv").read_bytes()).hexdigest().startswith(CORE)
    cases = read_suite("core")
    assert len(cases) == 2002
    assert all(bool(case.category) == (case.label == "unsafe") for case in cases if case.group != "picture")


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text(HEAD + 'clear\tunsafe\tviolence\ta "quoted" prompt\t\n')
    (case,) = read_suite(str(path))
    assert (case.group, case.prompt) == ("clear", 'a "quoted" prompt')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a prompt\n", "begins with"),
        (HEAD + "clear\tbad\tviolence\ta prompt\t\n", "line 2"),
        (HEAD + "clear\tunsafe\tviolence\t \t\n", "line 2"),
        (HEAD + "clear\tunsafe\n", "line 2"),
    ],
)
def test_a_line_that_is_no_case_is_named(tmp_path, text, said):
    path = tmp_path / "mine.tsv"
    path.write_text(text)
    with pytest.raises(RequestError, match=said):
        read_suite(str(path))


@pytest.mark.parametrize("name", ["nope", "/nowhere/x.tsv"])
def test_an_unknown_suite_is_told_with_those_there_are(name):
    with pytest.raises(RequestError, match="there are: core"):
        read_suite(name)
