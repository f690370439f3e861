"""Several processes make one clip, through the command line, and one of them releases it."""

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinemark.data.video import read_video
from kinemark.provenance.detect import verify
from kinemark.provenance.records.exceptions import sign_exception
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.signing.keys import require_keys
from kinemark.settings import load_settings
from kinemark.wan.store import Record, write_record
from tiny_wan import tiny_folder

SCRIPT = Path(__file__).with_name("shared_clip.py")


@pytest.mark.slow
def test_two_processes_make_one_clip(tmp_path):
    settings = load_settings()
    keys = require_keys(settings.keys_dir)
    with Ledger.open(settings.ledger_path, create=True) as ledger:
        now = dt.datetime.now(dt.UTC)
        sign_exception(ledger, keys, "photoreal-without-classifier", by="Kim", reason="trial", now=now)
    folder = tiny_folder(settings.models_dir / "tiny-wan")
    write_record(folder, Record("tiny-wan", "a test", "none", "2" * 64))
    clips = []
    for processes in (1, 2):
        path = tmp_path / f"{processes}.mp4"
        asked = ["a red boat drifts across the sea", "--model", "tiny-wan", "--size", "96x64", "--seconds", "0.5"]
        done = _launch(processes, ["generate", *asked, "--seed", "3", "--steps", "3", "-o", str(path), "--json"])
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout)["id"]  # one of them says so
        assert verify(path).recognised
        clips.append(read_video(path).frames_THWC.astype(float))
    assert np.abs(clips[0] - clips[1]).mean() < 3  # both are marked, each with its own id
    with Ledger.open(settings.ledger_path) as ledger:
        assert len(ledger) == 3  # the exception, and two clips


def _launch(processes, arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*command, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
    )
