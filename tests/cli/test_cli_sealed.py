import datetime as dt
import json

import pytest

from command_line import run
from kinemark.safety.seal import seal
from kinemark.settings import load_settings


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))


def test_sealed_material_is_listed_without_a_view_and_opened_by_name(capsys, tmp_path):
    assert run(capsys, "sealed", "list")[1] == "Nothing is sealed.\n"
    one = seal(load_settings().sealed_dir, b"material", "blocklist", now=dt.datetime.now(dt.UTC))
    listed = run(capsys, "sealed", "list")[1]
    assert one.id in listed
    assert "never opened" in listed
    out = tmp_path / "for-authority.npz"
    printed = run(capsys, "sealed", "export", one.id, "-o", out, "--by", "Kim", "--to", "authority, 7/26")[1]
    assert "was opened by Kim for authority, 7/26" in printed
    assert (out.read_bytes(), out.stat().st_mode & 0o077) == (b"material", 0)
    assert "by Kim" in json.loads(run(capsys, "sealed", "list", "--json")[1])["sealed"][0]["opened"][0]
    code, _, err = run(capsys, "sealed", "export", one.id, "-o", out, "--by", "Kim", "--to", "authority")
    assert (code, "exists" in err) == (2, True)


def test_what_is_not_there_is_told(capsys, tmp_path):
    code, _, err = run(capsys, "sealed", "export", "sealed-1", "-o", tmp_path / "x", "--by", "Kim", "--to", "a")
    assert (code, "nothing is sealed" in err) == (2, True)
    assert not (tmp_path / "x").exists()
