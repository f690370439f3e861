from dataclasses import replace

import av
import pytest
from provenance_clips import FACTS, ball

from command_line import decision
from kinemark.data.video import read_tags, read_video
from kinemark.errors import RequestError
from kinemark.provenance import compliance
from kinemark.provenance.compliance import PROFILES, Evidence, Shown, examine, label_of, profiles_named
from kinemark.provenance.detect import verify
from kinemark.provenance.marks import watermark
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.release import release
from kinemark.provenance.signing.credentials import read_credentials
from kinemark.provenance.signing.keys import load_keys


@pytest.fixture
def evidence(settings, tmp_path):
    """A file that was released for all profiles."""
    import json

    import c2pa

    everything = replace(settings, profiles=",".join(PROFILES))
    frames = ball(frames=20)
    made = release(frames, decision(frames), tmp_path / "made.mp4", FACTS, everything)
    with c2pa.Reader(str(made.path)) as reader:
        store = json.loads(reader.json())
    seen = read_video(made.path).frames_THWC
    return Evidence(
        plain=frames,
        seen=seen,
        fps=FACTS.fps,
        label=label_of(profiles_named(everything.profiles)),
        manifest=store["manifests"][store["active_manifest"]],
        tags=read_tags(made.path),
        verified=verify(made.path, settings),
        stripped=watermark.detect(seen, load_keys(settings.keys_dir).watermark_key),
        content=made.path.read_bytes(),
        private=(FACTS.prompt,),
    )


def test_every_duty_is_shown_or_says_why_not(evidence):
    results = examine(list(PROFILES.values()), evidence)
    assert {result.shown for result in results} == {Shown.SHOWN, Shown.NOT_SHOWN}
    assert all(result.says for result in results)


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"tags": {}}, {"a latent disclosure", "an implicit label"}),
        ({"label": None}, {"a visible label", "a prominent visible label", "generative output", "a conspicuous"}),
        ({"manifest": {}}, {"outputs are marked", "a machine can tell"}),
        ({"content": b"x a red ball rolls over the grass x"}, {"no personal information"}),
        (
            {"stripped": watermark.WatermarkFinding(None, present=False, score=0, p_value=1)},
            {"two layers", "the disclosure"},
        ),
    ],
)
def test_what_is_taken_away_is_missed(evidence, change, missing):
    results = examine(list(PROFILES.values()), replace(evidence, **change))
    failed = [result.asks for result in results if result.shown is Shown.NOT_MET]
    assert all(any(asks.startswith(start) for asks in failed) for start in missing), failed


def test_a_label_that_was_not_drawn_is_missed(evidence):
    met, _ = compliance._labelled(replace(evidence, seen=evidence.plain))
    assert not met


def test_without_profiles_nothing_is_drawn_or_tagged(settings, tmp_path):
    frames = ball(frames=3, height=64, width=64)
    made = release(frames, decision(frames), tmp_path / "made.mp4", FACTS, settings)
    assert "AIGC" not in read_tags(made.path)
    with Ledger.open(settings.ledger_path) as ledger:
        assert ledger.find(made.id).body["profiles"] == []


def test_the_tag_is_covered_by_the_signature(settings, tmp_path):
    frames = ball(frames=3, height=128, width=128)
    made = release(frames, decision(frames), tmp_path / "made.mp4", FACTS, replace(settings, profiles="china"))
    content = made.path.read_bytes()
    assert b'"Label":"1"' in content
    (tmp_path / "edited.mp4").write_bytes(content.replace(b'"Label":"1"', b'"Label":"2"'))
    assert read_credentials(tmp_path / "edited.mp4", ()).state == "invalid"


def test_the_label_stands_in_a_caption_track_too(settings, tmp_path):
    frames = ball(frames=8, height=128, width=128)
    made = release(frames, decision(frames), tmp_path / "made.mp4", FACTS, replace(settings, profiles="china"))
    with av.open(made.path) as container:
        packet = next(container.demux(container.streams.subtitles[0]))
        assert "AI" in bytes(packet)[2:].decode()
        assert 0 < packet.duration * packet.time_base <= len(frames) / FACTS.fps
    plain = release(frames, decision(frames), tmp_path / "plain.mp4", FACTS, settings)
    with av.open(plain.path) as container:
        assert not container.streams.subtitles


def test_profiles_are_named():
    assert [profile.name for profile in profiles_named(" EU, china ,eu")] == ["eu", "china"]
    assert profiles_named("") == []
    with pytest.raises(RequestError, match="choose among: eu"):
        profiles_named("eu,mars")
