"""The asset rubrics of the C2PA conformance programme, version 0.2, over files that Kinemark released.

Their YAML is the programme's own (github.com/c2pa-org/conformance-public, CC BY 4.0); `@adobe/json-formula` evaluates
it. `scripts/packages.sh` installs what this needs.
"""

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import c2pa
import pytest
import yaml
from PIL import Image

from command_line import decision, moving_ramp
from kinemark.provenance.release import ReleaseFacts, release
from kinemark.provenance.signing.claims import Claim, sign
from kinemark.provenance.signing.credentials import MIME, context
from kinemark.provenance.signing.credits import Credits
from kinemark.provenance.signing.given import GivenSpan
from kinemark.provenance.signing.keys import require_keys
from kinemark.settings import Settings

HERE = Path(__file__).parent
FORMULA = Path(sys.prefix) / "share" / "node" / "node_modules" / "@adobe" / "json-formula"
CONFORMANCE, INTEGRITY, SIGNALS = (
    list(yaml.safe_load_all((HERE / "rubrics" / f"asset-rubric-{name}.yml").read_text()))
    for name in ("conformance0.2-spec2.4", "integrity", "signals-local")
)
FACTS = ReleaseFacts(fps=8.0, model="spark", weights_digest="ab" * 32)


def evaluate(rubric, data):
    """{statement: whether it holds}."""
    asked = json.dumps({"rubric": rubric, "data": data, "specVersion": "2.4"}, default=str)
    command = ["node", HERE / "rubric.mjs", FORMULA]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def crjson(path, anchors):
    with (
        context(anchors) as settings,
        path.open("rb") as stream,
        c2pa.Reader(MIME[path.suffix], stream, context=settings) as reader,
    ):
        return json.loads(reader.crjson())


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("conformance") / "home")


def released(home, path, **changes):
    frames = moving_ramp()
    release(frames, decision(frames), path, replace(FACTS, **changes), home)
    return crjson(path, require_keys(home.keys_dir).root_pem)


def signals(data):
    return {name for name, holds in evaluate(SIGNALS, data["manifests"][0]).items() if holds}


CREDITS = Credits(creator="the studio", human_part="prompt", owner="the studio", licence="CC-BY-4.0")


@pytest.mark.parametrize(
    "changes",
    [{}, {"prompt": "a red sailboat", "write_prompt": True}, {"credits": CREDITS}],
    ids=["plain", "with its prompt", "with credits"],
)
def test_a_release_passes_every_rule(home, tmp_path, changes):
    data = released(home, tmp_path / "clip.mp4", **changes)
    for rubric in (CONFORMANCE, INTEGRITY):
        results = evaluate(rubric, data)
        assert len(results) >= 6
        assert [name for name, holds in results.items() if not holds] == []
    expected = {"inception:signal_fullyGenAIMedia", "transformation:signal_nonEditorial"}
    # A prompt in the file is an ingredient that carries no manifest of its own.
    assert signals(data) == expected | ({"inception:signal_mediaUnknownProvenance"} if "prompt" in changes else set())


def test_given_footage_passes_and_is_partly_generated(home, tmp_path):
    released(home, tmp_path / "source.mp4")
    given = (GivenSpan(0.0, 0.25, "kept"), GivenSpan(0.25, 0.4, "changed"))
    data = released(home, tmp_path / "clip.mp4", given=given, sources=(tmp_path / "source.mp4",))
    for rubric in (CONFORMANCE, INTEGRITY):
        assert [name for name, holds in evaluate(rubric, data).items() if not holds] == []
    assert "inception:signal_partlyGenAICreation" in signals(data)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif"])
def test_pictures_pass_too(home, tmp_path, suffix):
    keys = require_keys(home.keys_dir)
    Image.fromarray(moving_ramp()[0]).save(tmp_path / f"plain{suffix}")
    claim = Claim("a1b2c3d4", dt.datetime.now(dt.UTC), 1.0, "spark", "ab" * 32)
    sign(tmp_path / f"plain{suffix}", tmp_path / f"signed{suffix}", claim, keys)
    data = crjson(tmp_path / f"signed{suffix}", keys.root_pem)
    for rubric in (CONFORMANCE, INTEGRITY):
        assert [name for name, holds in evaluate(rubric, data).items() if not holds] == []


def test_the_rules_can_fail(home, tmp_path):
    data = released(home, tmp_path / "clip.mp4")
    manifest = data["manifests"][0]
    actions = manifest["assertions"]["c2pa.actions.v2"]
    del actions["allActionsIncluded"]
    actions["actions"].reverse()
    manifest["claim.v2"]["claim_generator_info"]["specVersion"] = "2.2"
    broken = {name for name, holds in evaluate(CONFORMANCE, data).items() if not holds}
    assert broken >= {
        "validation:mandatory_all_actions_included",
        "validation:inception_action_position",
        "validation:mandatory_spec_version",
    }


def test_without_its_root_a_file_is_not_trusted_and_one_changed_byte_shows(home, tmp_path):
    released(home, tmp_path / "clip.mp4")
    untrusted = evaluate(INTEGRITY, crjson(tmp_path / "clip.mp4", None))
    assert [name for name, holds in untrusted.items() if not holds] == ["validation:trusted_success"]
    content = bytearray((tmp_path / "clip.mp4").read_bytes())
    content[-100] ^= 1
    (tmp_path / "clip.mp4").write_bytes(content)
    changed = evaluate(INTEGRITY, crjson(tmp_path / "clip.mp4", None))
    assert not changed["validation:valid_success"]
