"""What is given: block lists, credentials, and what a clip that was made here brings along."""

import datetime as dt
import hashlib
import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from drawn_symbol import with_cross
from kinemark.admission import admit, require_words
from kinemark.cli.footage import rendered
from kinemark.data.video import read_video
from kinemark.errors import RefusedError
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.release import ReleaseFacts, release
from kinemark.provenance.signing import claims
from kinemark.provenance.signing.keys import require_keys
from kinemark.safety.blocklist import Blocklist
from kinemark.safety.classifiers.seam import Classifiers
from kinemark.safety.content import closed_world, open_world
from kinemark.safety.decision import Decision
from kinemark.safety.frames.pdq import pdq
from kinemark.safety.gates import judge_output, judge_prompt
from kinemark.safety.policy.file import load_policy
from kinemark.safety.seal import open_sealed, sealed
from kinemark.settings import Settings
from kinemark.timeline import Timeline, video_from_frames
from kinemark.uploads import frames_of, judge_credentials, judge_lineage

POLICY = load_policy()
FACTS = ReleaseFacts(fps=8, model="spark", weights_digest="0" * 64)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home")


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    return rendered(random.Random(3), 9, (256, 256))


def continued(frames_THWC: np.ndarray, *sources: Path, prompt: str = "a red boat") -> Timeline:
    timeline = Timeline.extend(video_from_frames(frames_THWC), prompt, after=8, fps=8)
    return replace(timeline, sources=sources)


def made(frames_THWC: np.ndarray, path: Path, settings: Settings, judgements, *, given: bool = False) -> str:
    """Release frames as a model would have made them; the clip's id."""
    content = open_world(POLICY, (), Classifiers(), given=True, photoreal=False) if given else closed_world()
    decision = judge_output(frames_THWC, 8, judgements, POLICY, content=content)
    return release(frames_THWC, decision, path, FACTS, settings).id


def test_frames_come_back_as_they_were_given(scene):
    (known,) = continued(scene).knowns
    assert np.array_equal(frames_of(known), scene)
    assert frames_of(replace(known, video_TCHW=known.video_TCHW.double().to(torch.float32))).dtype == np.uint8


def test_nothing_speaks_against_ordinary_frames(settings, scene):
    admitted = admit(require_words(continued(scene), settings), settings, photoreal=False)
    assert {judgement.gate for judgement in admitted.judgements} == {"prompt", "blocklist", "credentials", "consent"}
    assert "violence" in admitted.content.unseen


@pytest.mark.parametrize("kind", ["md5", "pdq"])
def test_what_is_on_a_block_list_is_refused_and_sealed(settings, scene, tmp_path, kind):
    path = tmp_path / "given.png"
    path.write_bytes(b"the file as it came")
    value = hashlib.md5(path.read_bytes()).hexdigest() if kind == "md5" else pdq(scene[0])[0].hex()
    Blocklist(settings.blocklist_dir).add([f"{kind}:{value}"])
    with pytest.raises(RefusedError, match="on a block list"):
        admit(require_words(continued(scene, path), settings), settings, photoreal=False)
    (one,) = sealed(settings.sealed_dir)
    material = open_sealed(settings.sealed_dir, one.id, by="Kim", to="authority", now=_now())
    assert np.array_equal(_arrays(material)["arr_0"], scene)


def test_a_refused_prompt_seals_only_what_touches_the_rule_on_minors(settings, scene):
    with pytest.raises(RefusedError):
        admit(require_words(continued(scene, prompt="a beheaded soldier"), settings), settings, photoreal=False)
    assert sealed(settings.sealed_dir) == []
    # Composed here and nowhere stored.
    worst = " ".join(("a", "chi" + "ld", "na" + "ked"))
    with pytest.raises(RefusedError):
        admit(require_words(continued(scene, prompt=worst), settings), settings, photoreal=False)
    (one,) = sealed(settings.sealed_dir)
    assert one.rule.startswith("minors")
    assert not any(worst.encode() in path.read_bytes() for path in settings.home.rglob("*") if path.is_file())


def test_a_list_that_cannot_be_read_refuses(settings, scene):
    Blocklist(settings.blocklist_dir).add(["0" * 32])
    (settings.blocklist_dir / "md5.bin").write_bytes(b"damaged")
    with pytest.raises(RefusedError, match="blocklist gate failed"):
        admit(require_words(continued(scene, Path(__file__)), settings), settings, photoreal=False)


def test_credentials_that_do_not_hold_are_told(tmp_path, settings, scene):
    clip = tmp_path / "clip.mp4"
    made(scene, clip, settings, judge_prompt("a red boat", POLICY))
    assert judge_credentials([clip]).rule == "credentials-use"
    assert judge_credentials([clip]).allow
    broken = tmp_path / "broken.mp4"
    data = bytearray(clip.read_bytes())
    data[len(data) // 2] ^= 255
    broken.write_bytes(bytes(data))
    assert (judge_credentials([broken]).action, judge_credentials([broken]).rule) == ("label", "credentials-broken")


def test_labels_go_on_from_clip_to_clip_also_without_credentials(tmp_path, settings, scene):
    first = made(scene, tmp_path / "1.mp4", settings, judge_prompt("a red boat", POLICY), given=True)
    seen = read_video(tmp_path / "1.mp4").frames_THWC
    (inherited,) = judge_lineage([seen], settings)
    assert (inherited.action, inherited.rule) == ("label", "given-frames")
    assert first in inherited.reason
    # A closed world's own clip would carry no label; what it was made from still does.
    judgements = (*judge_prompt("a red boat", POLICY), inherited)
    made(seen, tmp_path / "2.mp4", settings, judgements)
    with Ledger.open(settings.ledger_path) as ledger:
        assert [entry.body["labels"] for entry in ledger.entries()] == [[[None, "given-frames"]]] * 2


def test_the_worst_output_as_the_next_seed_never_gets_better(tmp_path, settings, scene):
    """Three clips, each from the last: labels stay, and what is planted is found each time."""
    y, x = np.mgrid[0:256, 0:256]
    plain = np.stack([90 + x // 4, 120 + y // 4, 140 + (x + y) // 8], axis=-1).astype(np.uint8)
    seed = np.stack([with_cross(plain, turn=0)] * 9)
    labels: set[tuple[str | None, str]] = set()
    for step in range(3):
        admitted = admit(require_words(continued(seed), settings), settings, photoreal=False)
        decision = judge_output(seed, 8, admitted.judgements, POLICY, content=admitted.content)
        assert decision.allow
        assert labels <= set(decision.labels)
        labels = set(decision.labels)
        release(seed, decision, tmp_path / f"{step}.mp4", FACTS, settings)
        seed = read_video(tmp_path / f"{step}.mp4").frames_THWC
    assert ("hate", "content-symbol") in labels
    worst = np.stack([with_cross(frame, turn=45) for frame in seed])
    admitted = admit(require_words(continued(worst), settings), settings, photoreal=False)
    refused: Decision = judge_output(worst, 8, admitted.judgements, POLICY, content=admitted.content)
    assert not refused.allow


def test_what_was_taken_down_is_not_used_again(tmp_path, settings, scene):
    id_ = made(scene, tmp_path / "clip.mp4", settings, judge_prompt("a red boat", POLICY))
    seen = read_video(tmp_path / "clip.mp4").frames_THWC
    admit(require_words(continued(seen), settings), settings, photoreal=False)
    with Ledger.open(settings.ledger_path) as ledger:
        ledger.append("takedown", id_, {"case": "takedown-1"})
        assert ledger.taken_down(id_)
        assert ledger.verify_chain() == []
    with pytest.raises(RefusedError, match="taken down"):
        admit(require_words(continued(seen), settings), settings, photoreal=False)


def test_small_pictures_have_no_lineage(settings, tmp_path, scene):
    made(scene, tmp_path / "clip.mp4", settings, judge_prompt("a red boat", POLICY))
    assert judge_lineage([np.zeros((1, 32, 32, 3), np.uint8)], settings) == []


def _signed_picture(path: Path, entries: dict, settings: Settings, monkeypatch) -> Path:
    """A picture whose signed credentials say this of training and data mining."""
    original = claims.manifest

    def manifest(claim, mime):
        definition = original(claim, mime)
        for assertion in definition["assertions"]:
            if assertion["label"] == "cawg.training-mining":
                assertion["data"] = {"entries": entries}
        return definition

    plain = path.with_name("plain.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(plain)
    claim = claims.Claim(id="a1b2c3d4", when=_now(), seconds=0.1, model="spark", weights_digest="ab" * 32)
    with monkeypatch.context() as patched:
        patched.setattr(claims, "manifest", manifest)
        claims.sign(plain, path, claim, require_keys(settings.keys_dir))
    return path


@pytest.mark.parametrize("use", ["notAllowed", "constrained"])
def test_a_signed_refusal_of_this_use_is_respected(tmp_path, settings, scene, monkeypatch, use):
    picture = _signed_picture(tmp_path / "p.png", {"cawg.ai_inference": {"use": use}}, settings, monkeypatch)
    refused = judge_credentials([picture])
    assert (refused.action, refused.rule) == ("refuse", "credentials-use")
    assert "p.png" in refused.reason
    with pytest.raises(RefusedError, match="ai_inference"):
        admit(require_words(continued(scene, picture), settings), settings, photoreal=False)


def test_a_signed_permission_is_one(tmp_path, settings, monkeypatch):
    entries = {"cawg.ai_inference": {"use": "allowed"}, "cawg.data_mining": {"use": "notAllowed"}}
    assert judge_credentials([_signed_picture(tmp_path / "p.png", entries, settings, monkeypatch)]).action == "allow"


def _arrays(material: bytes):
    return np.load(io.BytesIO(material))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
