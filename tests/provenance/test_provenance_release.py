import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from provenance_clips import FACTS, FPS, ball

from command_line import decision
from kinemark.data.video import read_video
from kinemark.errors import FailureError, RefusedError, RequestError
from kinemark.provenance import release as module
from kinemark.provenance.marks import watermark
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.release import release
from kinemark.provenance.signing.credentials import read_credentials
from kinemark.provenance.signing.keys import load_keys
from kinemark.safety.decision import Decision

SMALL = {"frames": 5, "height": 96, "width": 128}


@pytest.fixture
def frames():
    return ball(**SMALL)


def events(settings):
    """The ledger's events in order, after checking its chain."""
    if not settings.ledger_path.exists():
        return []
    with Ledger.open(settings.ledger_path) as ledger:
        assert ledger.verify_chain() == []
        return [row[0] for row in ledger._backing._connection.execute("SELECT event FROM entries ORDER BY seq")]


def test_one_file_arrives_marked_signed_and_recorded(released_once):
    settings, released = released_once
    keys = load_keys(settings.keys_dir)
    assert [file.name for file in released.path.parent.iterdir() if file.name != "home"] == ["clip.mp4"]
    video = read_video(released.path)
    assert video.frames_THWC.shape == (9, 160, 256, 3)
    assert video.fps == FPS
    assert watermark.detect(video.frames_THWC, keys.watermark_key).payload == int(released.id, 16)
    found = read_credentials(released.path, keys.anchors)
    assert (found.state, found.id) == ("trusted", released.id)


def test_the_entry_says_what_is_known_and_not_what_was_asked(released_once):
    settings, released = released_once
    with Ledger.open(settings.ledger_path) as ledger:
        entry = ledger.find(released.id)
        assert ledger.matches_prompt(released.id, FACTS.prompt)
    assert entry.seq == released.ledger_seq
    assert entry.body["file_sha256"] == released.sha256 == hashlib.sha256(released.path.read_bytes()).hexdigest()
    assert entry.body["model"] == "spark"
    assert (entry.body["frames"], entry.body["size"], entry.body["fps"]) == (9, [256, 160], FPS)
    assert len(entry.fingerprint) == 8 * 32
    for file in (settings.ledger_path, released.path):
        assert FACTS.prompt.encode() not in file.read_bytes()


def test_the_prompt_is_written_when_asked(frames, settings, tmp_path):
    path = tmp_path / "told.mp4"
    release(frames, decision(frames), path, replace(FACTS, write_prompt=True), settings)
    assert FACTS.prompt.encode() in path.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_the_file_has_the_permissions_of_any_new_file(frames, settings, tmp_path):
    (tmp_path / "plain").touch()
    released = release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert released.path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_existing_file_is_replaced_in_one_step(frames, settings, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")
    assert (
        release(frames, decision(frames), path, FACTS, settings).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    )


def test_every_release_has_an_id_of_its_own(frames, settings, tmp_path):
    ids = {release(frames, decision(frames), tmp_path / f"{i}.mp4", FACTS, settings).id for i in range(3)}
    assert len(ids) == 3
    assert events(settings) == ["release"] * 3


# --- the decision -----------------------------------------------------------------------------------------------------


def test_frames_that_were_not_judged_are_not_released(frames, settings, tmp_path):
    other = frames.copy()
    other[0, 0, 0, 0] ^= 1
    with pytest.raises(FailureError, match="not the ones that the gates judged"):
        release(other, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_a_refusal(frames, settings, tmp_path):
    refused = decision(frames, action="refuse")
    with pytest.raises(RefusedError, match="for the test") as caught:
        release(frames, refused, tmp_path / "clip.mp4", FACTS, settings)
    assert caught.value.decision is refused
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("drop", range(4))
def test_an_absent_gate_is_no_permission(frames, settings, tmp_path, drop):
    whole = decision(frames)
    partial = replace(whole, judgements=whole.judgements[:drop] + whole.judgements[drop + 1 :])
    with pytest.raises(RefusedError):
        release(frames, partial, tmp_path / "clip.mp4", FACTS, settings)
    with pytest.raises(RefusedError, match="no gate has judged"):
        release(frames, Decision("1", "", "", ()), tmp_path / "clip.mp4", FACTS, settings)
    assert list(tmp_path.iterdir()) == []


# --- bad requests -----------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_mp4_is_an_error(frames, settings, tmp_path):
    with pytest.raises(RequestError, match=r"'clip.avi'.*\.mp4"):
        release(frames, decision(frames), tmp_path / "clip.avi", FACTS, settings)


def test_a_folder_that_is_not_there_is_an_error(frames, settings, tmp_path):
    with pytest.raises(RequestError, match="mkdir -p"):
        release(frames, decision(frames), tmp_path / "no" / "clip.mp4", FACTS, settings)


def test_a_folder_of_that_name_is_an_error(frames, settings, tmp_path):
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(RequestError, match="is a folder"):
        release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)


def test_an_odd_size_is_an_error_and_leaves_nothing(settings, tmp_path):
    odd = ball(frames=2, height=97, width=128)
    with pytest.raises(RequestError, match="even"):
        release(odd, decision(odd), tmp_path / "clip.mp4", FACTS, settings)
    assert [file.name for file in tmp_path.iterdir()] == ["home"]
    assert events(settings) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_is_an_error(frames, settings):
    with pytest.raises(FailureError, match=r"cannot write /proc/self/clip.mp4"):
        release(frames, decision(frames), "/proc/self/clip.mp4", FACTS, settings)
    assert events(settings) == []


# --- faults -----------------------------------------------------------------------------------------------------------

STEPS = ["embed", "Mp4Writer", "video_code", "sign", "read_credentials", "_finish", "keep", "describe", "_publish"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_ctrl_c_at_any_step_leaves_nothing(frames, settings, tmp_path, monkeypatch, step, late):
    owner = watermark if step == "embed" else module
    original = getattr(owner, step)

    def interrupted(*args, **kwargs):
        if late and step != "_publish":
            original(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert [file.name for file in tmp_path.iterdir()] == ["home"]
    assert events(settings) == (["release", "withdrawal"] if step == "_publish" else [])


def test_a_signature_that_does_not_read_back_as_trusted_is_not_released(frames, settings, tmp_path, monkeypatch):
    original = module.read_credentials
    monkeypatch.setattr(module, "read_credentials", lambda path, _anchors: original(path, ()))
    with pytest.raises(FailureError, match="reads back as valid"):
        release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert [file.name for file in tmp_path.iterdir()] == ["home"]


def test_a_damaged_ledger_stops_the_release_before_any_work(frames, settings, tmp_path):
    settings.home.mkdir()
    settings.ledger_path.write_bytes(b"not a ledger" * 200)
    with pytest.raises(FailureError, match="damaged"):
        release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert [file.name for file in tmp_path.iterdir()] == ["home"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_a_world_readable_key_stops_the_release(frames, settings, tmp_path):
    release(frames, decision(frames), tmp_path / "one.mp4", FACTS, settings)
    (settings.keys_dir / "signer.pem").chmod(0o644)
    with pytest.raises(FailureError, match="chmod 600"):
        release(frames, decision(frames), tmp_path / "two.mp4", FACTS, settings)
    assert not (tmp_path / "two.mp4").exists()


def test_what_a_killed_process_left_is_swept_a_day_later(frames, settings, tmp_path):
    old, fresh = tmp_path / ".kinemark-old", tmp_path / ".kinemark-new"
    for folder in (old, fresh):
        folder.mkdir()
        (folder / "encoded.mp4").write_bytes(b"x")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert not old.exists()
    assert fresh.exists()


_CHILD = """
import os, resource, signal, sys
sys.path[:0] = [{here!r}, {tests!r}]
from pathlib import Path
from command_line import decision
from provenance_clips import FACTS, ball
from kinemark.errors import FailureError
from kinemark.provenance import release as module
from kinemark.settings import Settings
frames = ball(**{small!r})
folder = Path(sys.argv[1])
settings = Settings(home=folder / "home")
{fault}
try:
    module.release(frames, decision(frames), folder / "clip.mp4", FACTS, settings)
except FailureError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def child(folder, fault, small=SMALL):
    code = _CHILD.format(
        here=str(Path(__file__).parent), tests=str(Path(__file__).parents[1]), small=small, fault=fault
    )
    return subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file size")
@pytest.mark.parametrize("limit", [1_000, 12_000])
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, settings, limit):
    # Keys and an empty ledger first: the limit then hits the video while it is encoded, or while it is signed.
    warm = ball(**SMALL)
    release(warm, decision(warm), tmp_path / "first.mp4", FACTS, settings)
    fault = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    done = child(tmp_path, fault, SMALL | {"frames": 9})
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert "again" in done.stdout or "space" in done.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["first.mp4", "home"]
    assert events(settings) == ["release"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
@pytest.mark.parametrize("step", ["Mp4Writer", "sign", "_publish"])
def test_kill_9_between_steps_leaves_no_file_and_a_whole_ledger(tmp_path, settings, step):
    done = child(tmp_path, f"module.{step} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "clip.mp4").exists()
    # The entry may be there without its file, never the file without its entry.
    assert events(settings) == (["release"] if step == "_publish" else [])
    frames = ball(**SMALL)
    release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert events(settings)[-1] == "release"


def test_two_processes_release_at_once(tmp_path, settings):
    code = _CHILD.format(here=str(Path(__file__).parent), tests=str(Path(__file__).parents[1]), small=SMALL, fault="")
    run = [subprocess.Popen([sys.executable, "-c", code.replace("clip.mp4", f"{i}.mp4"), tmp_path]) for i in range(2)]
    assert [process.wait(timeout=300) for process in run] == [0, 0]
    assert events(settings) == ["release", "release"]
    keys = load_keys(settings.keys_dir)
    for i in range(2):
        assert read_credentials(tmp_path / f"{i}.mp4", keys.anchors).state == "trusted"


def test_frames_are_not_changed_in_place(frames, settings, tmp_path):
    before = frames.copy()
    release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert np.array_equal(frames, before)
