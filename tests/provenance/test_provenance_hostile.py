"""What `verify` does with files that mean harm: an answer or an error, soon, within bounded memory."""

import os
import resource

import numpy as np
import pytest
from hostile_files import mutated, nested, store_of, survives, with_store

from kinemark.errors import KinemarkError
from kinemark.provenance.detect import verify
from kinemark.provenance.signing.credentials import MAX_MANIFEST
from kinemark.settings import Settings

MEMORY = 4 << 30
SECONDS = 20
"""Twice what is asked for, since other tests may run beside."""


def look(path):
    """(made_by, state of the credentials), or the error's class and words; anything else ends the process."""
    try:
        found = verify(path, Settings(home=path.parent / "nobody"), quick=True)
    except KinemarkError as error:
        return type(error).__name__, str(error)
    return found.made_by, found.findings[0].detail["state"]


def fuzzed(released_once, tmp_path, seed, count):
    data, rng = released_once[1].path.read_bytes(), np.random.default_rng(seed)
    files = []
    for index in range(count):
        files.append(tmp_path / f"{index}.mp4")
        files[-1].write_bytes(mutated(data, rng))
    return survives(look, files, seconds=SECONDS, memory=MEMORY)


def test_broken_boxes_give_answers_or_errors(released_once, tmp_path):
    answers = fuzzed(released_once, tmp_path, 1, 60)
    assert len(answers) == 60
    assert all(made_by != "this_installation" for made_by, _ in answers)
    assert {"RequestError", None} <= {answer for answer, _ in answers}


@pytest.mark.slow
def test_many_broken_boxes_give_answers_or_errors(released_once, tmp_path):
    assert len(fuzzed(released_once, tmp_path, 2, 200)) == 200


@pytest.mark.slow
def test_a_manifest_whose_boxes_are_broken_never_reads_as_trusted_or_intact(released_once, tmp_path):
    data, rng = released_once[1].path.read_bytes(), np.random.default_rng(3)
    files = []
    for index in range(60):
        files.append(tmp_path / f"{index}.mp4")
        store = store_of(data)
        files[-1].write_bytes(with_store(data, mutated(store, rng)))
    answers = survives(look, files, seconds=SECONDS, memory=MEMORY)
    assert {state for _, state in answers} <= {"invalid", "none", "valid"}


@pytest.mark.parametrize("depth", [100, 100_000])
def test_boxes_within_boxes_within_boxes(released_once, tmp_path, depth):
    (tmp_path / "deep.mp4").write_bytes(with_store(released_once[1].path.read_bytes(), nested(depth)))
    ((made_by, state),) = survives(look, [tmp_path / "deep.mp4"], seconds=SECONDS, memory=MEMORY)
    assert (made_by, state) == (None, "invalid")


def test_a_manifest_that_swells_is_not_read(released_once, tmp_path):
    data = released_once[1].path.read_bytes()
    (tmp_path / "big.mp4").write_bytes(with_store(data, store_of(data) + bytes(MAX_MANIFEST)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = verify(tmp_path / "big.mp4", Settings(home=tmp_path / "nobody"), quick=True)
    assert found.findings[0].verdict == "invalid"
    assert "larger than" in found.findings[0].detail["codes"][0]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10  # in KiB


def test_files_of_four_gigabytes(released_once, tmp_path):
    data = released_once[1].path.read_bytes()
    with (tmp_path / "zeros.mp4").open("wb") as file:
        file.truncate(4 << 30)
    with (tmp_path / "free.mp4").open("wb") as file:
        file.write(data + (1).to_bytes(4) + b"free" + (4 << 30).to_bytes(8))
        file.truncate(len(data) + (4 << 30))
    with (tmp_path / "zeros.png").open("wb") as file:
        file.truncate(4 << 30)
    files = [tmp_path / name for name in ("zeros.mp4", "free.mp4", "zeros.png")]
    answers = survives(look, files, seconds=SECONDS, memory=MEMORY)
    assert [answer for answer, _ in answers] == ["RequestError", "unknown_installation", "RequestError"]


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX")
def test_a_pipe_is_no_file_to_wait_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    ((kind, says),) = survives(look, [tmp_path / "pipe.mp4"], seconds=SECONDS, memory=MEMORY)
    assert kind == "RequestError"
    assert "pipe.mp4" in says


def test_a_device_a_folder_and_a_link_to_nowhere(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    files = [tmp_path / name for name in ("folder.mp4", "link.mp4", "zero.mp4")]
    answers = survives(look, files, seconds=SECONDS, memory=MEMORY)
    assert [kind for kind, _ in answers] == ["RequestError"] * 3
