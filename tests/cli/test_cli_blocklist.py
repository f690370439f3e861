import json

import pytest

from command_line import run


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))


def test_a_list_is_added_and_counted(capsys, tmp_path):
    (tmp_path / "list.txt").write_text(f"# from somewhere\n{'a' * 32}\npdq:{'b' * 64}\n")
    assert run(capsys, "blocklist", "add", tmp_path / "list.txt")[1] == "New: 1 md5, 1 pdq.\n"
    assert json.loads(run(capsys, "blocklist", "add", tmp_path / "list.txt", "--json")[1]) == {
        "added": {"md5": 0, "pdq": 0}
    }
    assert json.loads(run(capsys, "blocklist", "count", "--json")[1]) == {"md5": 1, "sha1": 0, "sha256": 0, "pdq": 1}
    assert "pdq: 1" in run(capsys, "blocklist", "count")[1]
    (tmp_path / "empty.txt").write_text("\n")
    assert "no hash" in run(capsys, "blocklist", "add", tmp_path / "empty.txt")[1]


@pytest.mark.parametrize(
    ("content", "told"), [(b"hello\n", "line 1 is 'hello'"), (b"\xff\n", "cannot read"), (None, "cannot read")]
)
def test_mistakes_are_told(capsys, tmp_path, content, told):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    code, _, err = run(capsys, "blocklist", "add", tmp_path / "list.txt")
    assert (code, told in " ".join(err.split())) == (2, True)
