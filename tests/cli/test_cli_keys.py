import json

import pytest

from command_line import released_ramp, run


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def shown(capsys):
    return json.loads(run(capsys, "keys", "show", "--json")[1])


def test_rotate_and_revoke_show_what_signs_now_and_what_did(capsys, tmp_path):
    first = shown(capsys)["signer"]["serial"]
    clip = released_ramp(tmp_path / "clip.mp4").path
    assert run(capsys, "keys", "rotate")[0] == 0
    second = shown(capsys)
    assert second["signer"]["serial"] != first
    assert [one["serial"] for one in second["before"]] == [first]
    assert second["revoked"] == {}
    code, printed, _ = run(capsys, "keys", "revoke", first, "--since", "2026-01-01")
    assert code == 0
    assert "withdrawn since 2026-01-01" in printed
    assert "revoked.crl" in printed
    assert list(shown(capsys)["revoked"]) == [first]
    answer = json.loads(run(capsys, "verify", clip, "--json", "--quick")[1])
    assert answer["made_by"] == "this_installation"
    assert "withdrawn" in answer["findings"][0]["detail"]["says"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("revoke", "xyz"), "hexadecimal"),
        (("revoke", "5"), "no certificate here"),
        (("use",), "give CERT and KEY"),
        (("use", "cert.pem"), "give both"),
        (("use", "a.pem", "b.pem", "--own"), "give CERT and KEY"),
        (("use", "a.pem", "b.pem"), "cannot read"),
        (("use", "--own"), "already"),
        (("use", "--own", "--untimed"), "--untimed belongs"),
        (("use", "--tsa", "127.0.0.1"), "http"),
        (("use", "--tsa", "http://127.0.0.1:9/"), "nothing was changed"),
    ],
)
def test_what_cannot_be_done_is_said(capsys, args, says):
    code, _, err = run(capsys, "keys", *args)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_another_installation_hears_of_the_revocation_by_the_list(capsys, tmp_path, monkeypatch, home):
    clip = released_ramp(tmp_path / "clip.mp4").path
    run(capsys, "keys", "revoke")
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "newsroom"))
    assert run(capsys, "trust", "add", "studio", home / "keys" / "root.pem")[0] == 0
    assert json.loads(run(capsys, "verify", clip, "--json", "--quick")[1])["made_by"] == "operator:studio"
    code, printed, _ = run(capsys, "trust", "update", "studio", home / "keys" / "revoked.crl")
    assert (code, printed.strip()) == (0, "studio has withdrawn 1 certificate.")
    assert json.loads(run(capsys, "verify", clip, "--json", "--quick")[1])["recognised"] is False


def test_a_time_authority_is_listed_as_one(capsys, tmp_path, monkeypatch, home):
    run(capsys, "keys", "show")
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "newsroom"))
    run(capsys, "trust", "add", "clock", home / "keys" / "root.pem", "--time")
    assert "times only" in run(capsys, "trust", "list")[1]
    listed = json.loads(run(capsys, "trust", "list", "--json")[1])
    assert [one["name"] for one in listed["time_stamps"]] == ["clock"]
    assert listed["operators"] == []
