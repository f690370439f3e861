"""After its days a prompt is nowhere, in whatever it was written."""

import datetime as dt
from pathlib import Path

import pytest

from command_line import run
from kinemark.errors import RequestError
from kinemark.retention import Swept, sweep
from kinemark.safety.desk.cases import Desk
from kinemark.settings import Settings, load_settings

CANARY = "a red sailboat named Quillwhistle-77 drifts right"
WORDS = "Quillwhistle-77"
LATER = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)


def holding(folder: Path) -> list[str]:
    """The files below a folder in which the canary stands, in any case."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and WORDS.lower().encode() in path.read_bytes().lower()
    ]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "home"


def test_a_canary_is_nowhere_after_its_days(home, tmp_path, capsys):
    clip = tmp_path / "clip.mp4"
    made = run(
        capsys, "generate", CANARY, "-o", clip, "--seconds", 0.5, "--steps", 1, "--size", "128x128", "--embed-prompt"
    )
    assert made[0] == 0
    case = run(capsys, "appeal", "open", "deception-2", f"I asked for {CANARY}", "--contact", WORDS)[1].split(":")[0]
    run(capsys, "appeal", "decide", case, "upheld", f"{CANARY} is refused", "--by", "Kim")
    run(capsys, "report", "open", "clip", f"{CANARY} shows my boat")
    assert holding(home)
    settings = load_settings()
    assert sweep(settings, now=dt.datetime.now(dt.UTC)) == Swept(0, 0)
    assert sweep(settings, now=LATER) == Swept(1, 1)
    # A case that still waits for its answer keeps its words until it has one.
    with Desk(settings.desk_path) as desk:
        (waiting,) = desk.cases("report")
        desk.decide(waiting.id, "rejected", "seen", by="Kim", now=dt.datetime.now(dt.UTC))
        (told,) = desk.cases("appeal")
        assert (told.decision.outcome, told.decision.text, told.contact) == ("upheld", "", "")
    assert sweep(settings, now=LATER) == Swept(0, 1)
    assert holding(home) == []
    clip.unlink()
    assert holding(tmp_path) == []
    assert run(capsys, "ledger", "verify")[0] == 0


def test_without_an_embedded_prompt_it_is_written_nowhere_at_all(home, tmp_path, capsys):
    run(capsys, "generate", CANARY, "-o", tmp_path / "clip.mp4", "--seconds", 0.5, "--steps", 1, "--size", "128x128")
    assert holding(tmp_path) == []


def test_an_installation_without_anything_has_nothing_to_sweep(tmp_path):
    assert sweep(Settings(tmp_path), now=LATER) == Swept(0, 0)


def test_the_verb_says_what_it_did(home, capsys, monkeypatch):
    monkeypatch.setenv("KINEMARK_RETENTION_DAYS", "7")
    assert "Older than 7 days: 0 releases" in run(capsys, "sweep")[1]
    assert '"days": 7' in run(capsys, "sweep", "--json")[1]


@pytest.mark.parametrize("days", ["-1", "soon", "1.5", "1234567"])
def test_days_that_are_none_are_told(home, monkeypatch, days):
    monkeypatch.setenv("KINEMARK_RETENTION_DAYS", days)
    with pytest.raises(RequestError, match="KINEMARK_RETENTION_DAYS is"):
        load_settings()
