"""`kinemark models`: what there is, what is asked before a pull, and what an import needs."""

import io
import json

import pytest
import torch

from command_line import run
from kinemark.settings import load_settings
from kinemark.wan.releases import RELEASES
from kinemark.wan.store import installed
from tiny_wan import CONFIG, tiny_release
from wan_like import randomised


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "my-forcing.pt"
    state = randomised(CONFIG).state_dict()
    torch.save({"generator": {f"model.{key}": tensor for key, tensor in state.items()}}, path)
    return path


def test_models_are_listed(capsys):
    code, out, _ = run(capsys, "models", "list")
    assert code == 0
    assert "wan2.2-14b" in out
    assert "28.58 B" in out
    assert "not for commercial use" in out
    code, out, _ = run(capsys, "models", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["models"]}
    assert rows.keys() >= {"spark", *RELEASES}
    assert (rows["spark"]["here"], rows["wan2.1-1.3b"]["here"]) == (True, False)


def test_a_checkpoint_is_imported_and_listed(capsys, checkpoint, monkeypatch):
    monkeypatch.setitem(RELEASES, "tiny-wan", tiny_release())
    code, out, err = run(capsys, "models", "import", checkpoint, "--like", "tiny-wan", "--licence", "MIT")
    assert code == 0, err
    assert "my-forcing is here (weights " in out
    assert list(installed(load_settings().models_dir)) == ["my-forcing"]
    _, out, _ = run(capsys, "models", "list")
    assert f"like tiny-wan, imported from {checkpoint}" in out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("pull", "sora"), "there is no release 'sora'; those to pull are: wan2.1-1.3b"),
        (("import", "a.pt", "--like", "sora"), "--like is 'sora'; give one of"),
        (("import", "absent.pt", "--like", "self-forcing"), "no checkpoint at absent.pt"),
        (("import", "absent.pt", "--like", "self-forcing", "--name", "a b"), "name is 'a b'; use letters"),
    ],
)
def test_mistakes_are_explained(capsys, arguments, error):
    code, _, err = run(capsys, "models", *arguments)
    assert code == 2
    assert error in err


def test_nothing_is_pulled_without_consent(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, out, _ = run(capsys, "models", "pull", "causvid")
    assert code == 1
    assert "causvid: tianweiy/CausVid, licence CC-BY-NC-SA-4.0: not for commercial use" in out
    assert "wan2.1-1.3b: Wan-AI/Wan2.1-T2V-1.3B-Diffusers, licence Apache-2.0" in out


def test_what_a_clip_would_take_is_said_before_anything_is_pulled(capsys, tmp_path):
    code, out, err = run(capsys, "generate", "a boat", "--model", "wan2.1-1.3b", "--seconds", "5", "--dry-run")
    assert code == 0, err
    assert "a pull of about 14 GB" in out
    assert "of denoising on this device" in out
    code, out, _ = run(capsys, "generate", "a boat", "--model", "self-forcing", "--dry-run", "--json")
    assert json.loads(out)["weights"] > 2e9
    code, out, _ = run(capsys, "generate", "a boat", "--dry-run", "-o", tmp_path / "boat.mp4")
    assert "spark takes half a gigabyte" in out
    assert list(tmp_path.iterdir()) == []
