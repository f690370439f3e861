import datetime as dt
import json
import shutil
import time
from dataclasses import replace

import c2pa
import pytest
from PIL import Image
from provenance_clips import FACTS, FPS, ball, sunset
from signed_files import CLAIM, signed_briefly

from command_line import decision
from kinemark.data.encode import encode_mp4
from kinemark.errors import FailureError
from kinemark.provenance.release import release
from kinemark.provenance.signing.anchors import THIS, Anchor
from kinemark.provenance.signing.claims import MADE_BY_AI, Claim, manifest, sign
from kinemark.provenance.signing.credentials import read_credentials
from kinemark.provenance.signing.credits import Credits
from kinemark.provenance.signing.given import GivenSpan
from kinemark.provenance.signing.keys import load_keys, require_keys


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """(folder, keys, encoded file, signed file)."""
    folder = tmp_path_factory.mktemp("credentials")
    keys = require_keys(folder / "keys")
    encode_mp4(ball(frames=6, height=96, width=128), FPS, folder / "encoded.mp4")
    sign(folder / "encoded.mp4", folder / "signed.mp4", CLAIM, keys)
    return folder, keys, folder / "encoded.mp4", folder / "signed.mp4"


def store(path):
    with path.open("rb") as file, c2pa.Reader("video/mp4", file) as reader:
        return json.loads(reader.json()), json.loads(reader.crjson())


def assertions(path):
    found = store(path)[0]
    return {item["label"]: item for item in found["manifests"][found["active_manifest"]]["assertions"]}


def test_a_signed_file_is_trusted_under_its_own_root(bench):
    found = read_credentials(bench[3], bench[1].anchors)
    assert (found.state, found.root, found.generator, found.id) == ("trusted", THIS, "Kinemark", "a1b2c3d4")
    assert found.codes == ()
    assert found.label.startswith("urn:c2pa:")


def test_without_its_root_it_is_only_valid(bench, tmp_path):
    other = require_keys(tmp_path / "keys")
    for anchors in ((), other.anchors):
        found = read_credentials(bench[3], anchors)
        assert (found.state, found.root) == ("valid", None)
        assert found.codes == ("signingCredential.untrusted",)


def test_the_right_one_of_several_roots_is_named(bench, tmp_path):
    other = require_keys(tmp_path / "keys")
    found = read_credentials(bench[3], (Anchor("other", other.root_pem), Anchor("here", bench[1].root_pem)))
    assert found.root == "here"


def test_an_unsigned_file_has_none(bench):
    assert read_credentials(bench[2], ()).state == "none"


def test_the_manifest_says_what_a_generator_must_say(bench):
    said = assertions(bench[3])
    actions = said["c2pa.actions.v2"]["data"]
    assert actions["allActionsIncluded"] is True
    assert [action["action"] for action in actions["actions"]] == ["c2pa.created", "c2pa.watermarked.bound"]
    assert actions["actions"][0]["digitalSourceType"] == MADE_BY_AI
    assert said["c2pa.soft-binding"]["data"]["blocks"][0]["value"] == "a1b2c3d4"
    assert said["c2pa.soft-binding"]["data"]["blocks"][0]["scope"]["timespan"] == {"start": 0, "end": 750}
    assert said["c2pa.ai-disclosure"]["data"]["modelType"] == "c2pa.types.model.pytorch"
    assert "ab" * 32 in said["c2pa.ai-disclosure"]["data"]["modelIdentifier"]
    assert said["cawg.training-mining"]["data"]["entries"]["cawg.ai_generative_training"] == {"use": "notAllowed"}


def test_every_assertion_is_created_and_none_is_hearsay(bench):
    claim = store(bench[3])[1]["manifests"][0]["claim.v2"]
    assert claim["gathered_assertions"] == []
    assert len(claim["created_assertions"]) == 5
    assert claim["claim_generator_info"]["specVersion"] == "2.4"


def test_the_prompt_is_in_the_file_only_when_asked(bench, tmp_path):
    _, keys, encoded, signed = bench
    prompt = "zebra crossing at noon"
    asked = Claim(**{name: getattr(CLAIM, name) for name in CLAIM.__slots__} | {"prompt": prompt})
    sign(encoded, tmp_path / "asked.mp4", asked, keys)
    assert prompt.encode() in (tmp_path / "asked.mp4").read_bytes()
    assert prompt.encode() not in signed.read_bytes()
    assert read_credentials(tmp_path / "asked.mp4", keys.anchors).state == "trusted"
    assert "ingredients" not in manifest(CLAIM)


def test_the_file_does_not_name_the_folder_or_the_file(bench):
    content = bench[3].read_bytes()
    assert str(bench[0]).encode() not in content
    assert b"signed.mp4" not in content


def test_one_flipped_bit_of_the_picture_makes_it_invalid(bench, tmp_path):
    content = bytearray(bench[3].read_bytes())
    content[content.find(b"mdat") + 200] ^= 1
    (tmp_path / "changed.mp4").write_bytes(content)
    found = read_credentials(tmp_path / "changed.mp4", bench[1].anchors)
    assert found.state == "invalid"
    assert "assertion.bmffHash.mismatch" in found.codes
    assert found.generator == "Kinemark"


def test_one_flipped_bit_of_the_manifest_makes_it_invalid(bench, tmp_path):
    content = bytearray(bench[3].read_bytes())
    content[content.find(b"trainedAlgorithmicMedia") + 3] ^= 1
    (tmp_path / "changed.mp4").write_bytes(content)
    assert read_credentials(tmp_path / "changed.mp4", bench[1].anchors).state == "invalid"


def test_a_manifest_that_cannot_be_read_is_damaged_not_absent(bench, tmp_path):
    content = bytearray(bench[3].read_bytes())
    start = content.find(b"jumb")
    content[start + 40 : start + 400] = bytes(360)
    (tmp_path / "changed.mp4").write_bytes(content)
    assert read_credentials(tmp_path / "changed.mp4", bench[1].anchors).state == "invalid"


def test_a_kind_of_file_without_credentials(bench, tmp_path):
    shutil.copy(bench[3], tmp_path / "clip.mkv")
    assert read_credentials(tmp_path / "clip.mkv", ()).state == "none"


def test_after_the_certificate_has_run_out_the_state_says_so(bench, tmp_path):
    brief, target, runs_out = signed_briefly(bench[2], tmp_path)
    time.sleep(max(0.0, (runs_out - dt.datetime.now(dt.UTC)).total_seconds()) + 1.5)  # it counts whole seconds
    found = read_credentials(target, brief.anchors)
    assert found.state == "expired"
    assert found.id == "a1b2c3d4"
    with pytest.raises(FailureError, match="not valid at time of signing"):
        sign(bench[2], tmp_path / "late.mp4", CLAIM, brief)


def test_signing_never_writes_over_a_file(bench, tmp_path):
    (tmp_path / "taken.mp4").write_bytes(b"precious")
    with pytest.raises(FailureError, match="signing failed"):
        sign(bench[2], tmp_path / "taken.mp4", CLAIM, bench[1])
    assert (tmp_path / "taken.mp4").read_bytes() == b"precious"


def test_signing_what_is_no_mp4_fails_closed(bench, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(FailureError, match="not released"):
        sign(tmp_path / "text.mp4", tmp_path / "out.mp4", CLAIM, bench[1])


# --- given footage, credits, other formats ----------------------------------------------------------------------------


def actions(path):
    with c2pa.Reader(str(path)) as reader:
        store = json.loads(reader.json())
    active = store["manifests"][store["active_manifest"]]
    data = next(a["data"] for a in active["assertions"] if a["label"] == "c2pa.actions.v2")
    return data["actions"], active, store


def test_kept_footage_is_placed_with_its_time_range_and_its_own_manifest(settings, tmp_path):
    first, second = ball(frames=5, height=64, width=64), sunset(frames=5, height=64, width=64)
    source = release(first, decision(first), tmp_path / "source.mp4", FACTS, settings)
    facts = replace(FACTS, given=(GivenSpan(0, 0.25),), sources=(source.path,))
    made = release(second, decision(second), tmp_path / "made.mp4", facts, settings)
    said, active, store = actions(made.path)
    assert said[0]["action"] == "c2pa.created"
    assert said[0]["digitalSourceType"].endswith("compositeWithTrainedAlgorithmicMedia")
    [placed] = [action for action in said if action["action"] == "c2pa.placed"]
    assert placed["changes"][0]["region"][0]["time"] == {"type": "npt", "start": "0.000", "end": "0.250"}
    [ingredient] = active["ingredients"]
    assert ingredient["relationship"] == "componentOf"
    assert ingredient["active_manifest"] in store["manifests"]
    assert "source" not in ingredient["title"]  # people name files after themselves
    found = read_credentials(made.path, load_keys(settings.keys_dir).anchors)
    assert found.state == "trusted"
    assert found.given == (GivenSpan(0, 0.25),)
    assert found.seconds == 0.625


def test_changed_footage_is_an_input(settings, tmp_path):
    frames = ball(frames=3, height=64, width=64)
    facts = replace(FACTS, given=(GivenSpan(0, 0.375, "changed"),))
    made = release(frames, decision(frames), tmp_path / "made.mp4", facts, settings)
    said, active, _ = actions(made.path)
    assert said[0]["changes"][0]["description"] == "given footage, changed"
    assert active["ingredients"][0]["relationship"] == "inputTo"
    assert read_credentials(made.path, ()).given == facts.given


def test_credits_are_written_when_given_and_not_otherwise(settings, tmp_path):
    frames = ball(frames=2, height=64, width=64)
    facts = replace(FACTS, credits=Credits(creator="A Studio", licence="CC-BY-4.0"))
    made = release(frames, decision(frames), tmp_path / "made.mp4", facts, settings)
    [rights] = [a["data"] for a in actions(made.path)[1]["assertions"] if a["label"] == "cawg.metadata"]
    assert rights["dc:creator"] == ["A Studio"]
    plain = release(frames, decision(frames), tmp_path / "plain.mp4", FACTS, settings)
    assert not any(a["label"] == "cawg.metadata" for a in actions(plain.path)[1]["assertions"])


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "PNG"), (".webp", "WEBP"), (".gif", "GIF"), (".jpg", "JPEG")])
def test_pictures_are_signed_and_a_changed_byte_is_seen(settings, tmp_path, suffix, kind):
    keys = require_keys(settings.keys_dir)
    Image.fromarray(ball(frames=1, height=64, width=64)[0]).save(tmp_path / f"plain{suffix}", kind)
    claim = Claim("0000abcd", dt.datetime.now(dt.UTC), 1.0, "spark", "ab" * 32)
    sign(tmp_path / f"plain{suffix}", tmp_path / f"signed{suffix}", claim, keys)
    found = read_credentials(tmp_path / f"signed{suffix}", keys.anchors)
    assert (found.state, found.id) == ("trusted", "0000abcd")
    content = bytearray((tmp_path / f"signed{suffix}").read_bytes())
    content[-40] ^= 1
    (tmp_path / f"signed{suffix}").write_bytes(content)
    assert read_credentials(tmp_path / f"signed{suffix}", keys.anchors).state != "trusted"
