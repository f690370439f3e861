import numpy as np
import pytest
from provenance_clips import ball, sunset, texture

from kinemark.provenance.fingerprints.fingerprint import fingerprint
from kinemark.provenance.records import lookalikes
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.records.lookalikes import lookalike, refresh


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite", create=True) as ledger:
        for number, frames in enumerate((ball(), sunset(), texture())):
            ledger.append("release", f"{number:08x}", {}, fingerprint=fingerprint(frames).views)
        yield ledger


@pytest.fixture(params=[False, True], ids=["looking at each", "indexed"])
def folder(request, ledger, tmp_path, monkeypatch):
    if request.param:
        monkeypatch.setattr(lookalikes, "BEHIND", 2)
        refresh(ledger, tmp_path / "index")
        assert [path.name for path in (tmp_path / "index").iterdir()] == ["000000000003"]
    return tmp_path / "index"


def test_a_clip_is_found_whole_cropped_and_mirrored(ledger, folder):
    frames = texture()
    height, width = frames.shape[1:3]
    cropped = frames[:, round(0.1 * height) : round(0.9 * height), round(0.1 * width) : round(0.9 * width)]
    for seen, part, mirrored in (
        (frames, False, False),
        (cropped, True, False),
        (frames[:, :, ::-1], False, True),
        (cropped[:, :, ::-1], True, True),
    ):
        found = lookalike(fingerprint(seen), ledger, folder)
        assert (found.entry.id, found.part, found.mirrored) == ("00000002", part, mirrored)
        assert found.bits <= 6


def test_another_clip_is_not_found(ledger, folder):
    assert lookalike(fingerprint(texture(seed=9)), ledger, folder) is None


def test_what_came_after_the_index_is_found_too(ledger, folder):
    new = ledger.append("release", "000000ff", {}, fingerprint=fingerprint(texture(seed=9)).views)
    assert lookalike(fingerprint(texture(seed=9)), ledger, folder).entry == new


def test_an_index_that_was_changed_cannot_make_a_lookalike(ledger, folder, tmp_path):
    for path in folder.rglob("hashes.npy"):
        hashes = np.load(path)
        hashes[:] = np.frombuffer(fingerprint(texture(seed=9)).clip, np.uint8)
        np.save(path, hashes)
    assert lookalike(fingerprint(texture(seed=9)), ledger, folder) is None


def test_a_damaged_index_is_no_index(ledger, folder):
    for path in folder.rglob("*.npy"):
        path.write_bytes(b"damaged")
    assert lookalike(fingerprint(sunset()), ledger, folder).entry.id == "00000001"


def test_a_newer_index_replaces_the_older_one(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(lookalikes, "BEHIND", 1)
    for number in range(10, 13):
        ledger.append("release", f"{number:08x}", {}, fingerprint=fingerprint(texture(seed=number)).views)
        refresh(ledger, tmp_path / "index")
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["000000000006"]


def test_entries_of_version_1_have_one_hash(ledger, tmp_path):
    old = ledger.append("release", "000000ee", {}, fingerprint=fingerprint(texture(seed=77)).clip)
    assert lookalike(fingerprint(texture(seed=77)), ledger, tmp_path / "index").entry == old


def test_a_folder_that_cannot_be_written_gives_no_index_and_the_same_answers(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr(lookalikes, "BEHIND", 1)
    (tmp_path / "file").write_text("in the way")
    refresh(ledger, tmp_path / "file")
    assert lookalike(fingerprint(sunset()), ledger, tmp_path / "file").entry.id == "00000001"
