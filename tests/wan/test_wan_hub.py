"""Releases are downloaded by huggingface_hub itself, here from a hub on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import hub

from tiny_wan import tiny_folder

CODE = """
import sys
from dataclasses import replace
from pathlib import Path
from kinemark.errors import KinemarkError
from kinemark.wan.hub import download
from kinemark.wan.releases import RELEASES
repository, file, folder = sys.argv[1:]
release = replace(RELEASES["wan2.1-1.3b"], repository=repository, file=file or None)
try:
    download(release, Path(folder))
except KinemarkError as error:
    print(f"{type(error).__name__}: {error}")
"""


def download(endpoint: str, repository: str, folder: Path, file: str = "") -> str:
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, repository, file, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    tiny_folder(root / "nobody" / "tiny")
    (root / "nobody" / "tiny" / "assets").mkdir()
    (root / "nobody" / "tiny" / "assets" / "demo.mp4").write_bytes(b"not wanted")
    return root


def test_what_is_used_comes_and_nothing_else(root, tmp_path):
    with hub(root) as (endpoint, asked):
        assert download(endpoint, "nobody/tiny", tmp_path / "here") == ""
    for part in ("transformer", "vae", "text_encoder", "tokenizer"):
        for file in (root / "nobody" / "tiny" / part).iterdir():
            assert (tmp_path / "here" / part / file.name).read_bytes() == file.read_bytes()
    assert not any("demo.mp4" in path for _, path, _ in asked)


def test_one_file_and_what_is_there_already(root, tmp_path):
    file = "transformer/diffusion_pytorch_model.safetensors"
    with hub(root) as (endpoint, asked):
        assert download(endpoint, "nobody/tiny", tmp_path, file) == ""
        assert download(endpoint, "nobody/tiny", tmp_path, file) == ""
    assert (tmp_path / file).read_bytes() == (root / "nobody" / "tiny" / file).read_bytes()
    assert sum(method == "GET" and file in path for method, path, _ in asked) == 1


def test_what_cannot_be_had_is_explained(root, tmp_path):
    with hub(root) as (endpoint, _):
        assert "accept its terms: do so at https://huggingface.co/nobody/gated" in download(
            endpoint, "nobody/gated", tmp_path
        )
        assert download(endpoint, "nobody/else", tmp_path).startswith(
            "FailureError: the hub has no files in nobody/else; it may have moved"
        )
        assert "the hub has no lost.pt in nobody/tiny" in download(endpoint, "nobody/tiny", tmp_path, "lost.pt")
    assert "the hub could not be reached for nobody/tiny; what is there stays" in download(
        endpoint, "nobody/tiny", tmp_path
    )
