"""`kinemark ledger` and `kinemark trust`."""

import json
import shutil
import sqlite3

import pytest

from command_line import released_ramp, run
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.signing.keys import require_keys
from kinemark.settings import load_settings


@pytest.fixture
def path():
    """A ledger of three releases."""
    path = load_settings().ledger_path
    with Ledger.open(path, create=True) as ledger:
        for i in range(3):
            ledger.append("release", f"{i:08x}", {"fps": 8}, fingerprint=bytes(32), prompt=f"prompt {i}")
    return path


def change(path, sql):
    connection = sqlite3.connect(path)
    connection.executescript("DROP TRIGGER entries_stay_same; DROP TRIGGER entries_stay_here;" + sql)
    connection.close()


def test_a_whole_ledger(capsys, path):
    code, out, _ = run(capsys, "ledger", "verify", "--json")
    found = json.loads(out)
    assert (code, found["entries"], found["damages"]) == (0, 3, [])
    assert found["root"] in run(capsys, "ledger", "verify")[1].replace("\n", "")


def test_a_changed_entry_is_named(capsys, path):
    change(path, "UPDATE entries SET body = '{}' WHERE seq = 2")
    code, out, _ = run(capsys, "ledger", "verify")
    assert code == 1
    assert "entry 2 (id 00000001)" in out


def test_only_a_witness_sees_that_the_newest_entries_are_gone(capsys, path, tmp_path):
    assert "Witnessed 3 entries" in run(capsys, "ledger", "witness", "--state", tmp_path / "w")[1]
    change(path, "DELETE FROM entries WHERE seq = 3")
    assert run(capsys, "ledger", "verify")[0] == 0
    code, out, _ = run(capsys, "ledger", "verify", "--witness", tmp_path / "w")
    assert code == 1
    assert "cut off" in out
    assert run(capsys, "ledger", "witness", "--state", tmp_path / "w")[0] == 1


def test_export_and_erase(capsys, path, tmp_path):
    assert run(capsys, "ledger", "erase", "00000001")[0] == 0
    assert run(capsys, "ledger", "export", "-o", tmp_path / "all.jsonl")[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["release"] * 3 + ["erasure"]
    assert run(capsys, "ledger", "export")[1] == (tmp_path / "all.jsonl").read_text()
    code, _, err = run(capsys, "ledger", "erase", "00000001")
    assert (code, "already" in err) == (2, True)
    assert run(capsys, "ledger", "erase", "ffffffff")[0] == 2


def test_find_a_clip(capsys, released_clip):
    code, out, _ = run(capsys, "ledger", "find", released_clip.path, "--json")
    assert code == 0
    assert json.loads(out)["entries"]["watermark"]["id"] == released_clip.id


@pytest.fixture
def released_clip(tmp_path):
    return released_ramp(tmp_path / "clip.mp4")


def test_without_a_ledger_it_says_how_one_comes_about(capsys):
    code, _, err = run(capsys, "ledger", "verify")
    assert code == 1
    assert "first release" in err


def test_trust_makes_another_installations_file_recognised(capsys, released_clip, tmp_path, monkeypatch):
    root = tmp_path / "their-root.pem"
    shutil.copy(load_settings().keys_dir / "root.pem", root)
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "newsroom"))
    assert not json.loads(run(capsys, "verify", released_clip.path, "--json")[1])["recognised"]
    assert "is trusted" in run(capsys, "trust", "add", "studio", root)[1]
    assert json.loads(run(capsys, "verify", released_clip.path, "--json")[1])["made_by"] == "operator:studio"
    assert json.loads(run(capsys, "trust", "list", "--json")[1])["operators"][0]["name"] == "studio"
    assert run(capsys, "trust", "remove", "studio")[0] == 0
    assert "Nobody" in run(capsys, "trust", "list")[1]
    assert run(capsys, "trust", "remove", "studio")[0] == 2


def test_a_bad_root_is_a_request_error(capsys, tmp_path):
    require_keys(tmp_path / "keys")
    code, _, err = run(capsys, "trust", "add", "x", tmp_path / "keys" / "signer.pem")
    assert code == 2
    assert "no root" in " ".join(err.split())


def test_an_exception_is_signed_by_name(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "exceptions"))
    what = "photoreal-without-classifier"
    assert "by Kim" in run(capsys, "ledger", "except", what, "a closed trial", "--by", "Kim")[1]
    assert '"reason": "a closed trial"' in run(capsys, "ledger", "export")[1]
    assert run(capsys, "ledger", "verify")[0] == 0
    code, _, err = run(capsys, "ledger", "except", "everything", "why not", "--by", "Kim")
    assert (code, "there is no exception 'everything'" in " ".join(err.split())) == (2, True)
    assert run(capsys, "ledger", "except", what, " ", "--by", "Kim")[0] == 2
