import io
from dataclasses import replace

import c2pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_clips import FACTS, ball

from command_line import decision
from kinemark.errors import FailureError
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.records.manifests import active_only, forget, keep, kept
from kinemark.provenance.release import release
from kinemark.provenance.signing.given import GivenSpan


def entry(settings, id_):
    with Ledger.open(settings.ledger_path) as ledger:
        return ledger.find(id_)


def test_a_release_keeps_its_manifest_as_it_stands_in_the_file(released_once):
    settings, released = released_once
    manifest = kept(settings.manifests_dir, entry(settings, released.id))
    assert manifest in released.path.read_bytes()


def test_what_is_forgotten_or_changed_is_not_given_out(settings, tmp_path):
    with Ledger.open(settings.ledger_path, create=True) as ledger:
        written = ledger.append("release", "0000000a", {"manifest_sha256": keep(tmp_path, "0000000a", b"content")})
    assert kept(tmp_path, written) == b"content"
    (path,) = tmp_path.rglob("*.c2pa")
    path.write_bytes(b"changed")
    assert kept(tmp_path, written) is None
    forget(tmp_path, "0000000a")
    forget(tmp_path, "0000000a")
    assert kept(tmp_path, written) is None
    assert not list(tmp_path.rglob("*.c2pa"))


def test_a_folder_that_cannot_be_written_is_an_error_and_nothing_leaves(settings, tmp_path):
    settings.manifests_dir.parent.mkdir(parents=True)
    settings.manifests_dir.write_text("in the way")
    frames = ball(frames=4, height=96, width=128)
    with pytest.raises(FailureError, match="Nothing was released"):
        release(frames, decision(frames), tmp_path / "clip.mp4", FACTS, settings)
    assert not (tmp_path / "clip.mp4").exists()
    assert not list(tmp_path.glob(".kinemark-*"))


def test_the_active_manifest_alone_reads_as_the_whole_store_does(settings, tmp_path):
    frames = ball(frames=4, height=96, width=128)
    source = release(frames, decision(frames), tmp_path / "source.mp4", FACTS, settings)
    facts = replace(FACTS, given=(GivenSpan(0.0, 0.2, "kept"),), sources=(source.path,))
    made = release(frames, decision(frames), tmp_path / "clip.mp4", facts, settings)
    store = kept(settings.manifests_dir, entry(settings, made.id))
    active = active_only(store)
    assert len(active) < len(store) - 5000
    label = entry(settings, made.id).body["manifest"]
    with c2pa.Reader("video/mp4", io.BytesIO(made.path.read_bytes()), active) as reader:
        assert label in reader.json()


@given(st.binary(max_size=200))
def test_what_is_no_store_is_an_error(data):
    with pytest.raises(FailureError, match="damaged"):
        active_only(data)
