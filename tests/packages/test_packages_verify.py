"""The detector alone, built as a wheel, in an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from command_line import released_ramp

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "packages" / "verify"
LARGEST = 50 << 20
"""Bytes of what is downloaded besides PyAV and numpy."""


def listed():
    included = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    return {Path(name).relative_to("kinemark") for name in included["force-include"].values()}


def test_the_modules_listed_are_exactly_those_that_the_two_verbs_import(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))
    clip = released_ramp(tmp_path / "clip.mp4").path
    code = f"""
import sys
from kinemark.cli.detector import main
for args in (["verify", {str(clip)!r}, "--report", {str(tmp_path / "r.html")!r}], ["trust", "list"]):
    try:
        main(args)
    except SystemExit as left:
        assert not left.code, left.code
print(*(m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "kinemark"), sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    files = {Path(line) for line in done.stdout.splitlines() if line.endswith(".py")}
    imported = {file.relative_to(ROOT / "src" / "kinemark") for file in files}
    assert imported == listed() - {Path("py.typed")}


@pytest.mark.slow
def test_it_installs_small_and_without_torch_and_verifies(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMARK_HOME", str(tmp_path / "home"))
    clip = released_ramp(tmp_path / "clip.mp4").path
    wheels, place = tmp_path / "wheels", tmp_path / "venv"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--wheel-dir", wheels, PACKAGE], check=True)
    names = {wheel.name.partition("-")[0] for wheel in wheels.iterdir()}
    assert not names & {"torch", "einops", "safetensors", "pillow"}
    beside = [wheel for wheel in wheels.iterdir() if not wheel.name.startswith(("av-", "numpy-"))]
    assert sum(wheel.stat().st_size for wheel in beside) <= LARGEST
    subprocess.run(
        ["bash", ROOT / "scripts" / "venv.sh", place], check=True, env=os.environ | {"PYTHON": sys.executable}
    )
    python = [place / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*python, "install", "--no-index", "--find-links", wheels, "kinemark-verify"], check=True)
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kinemark = place / "bin" / "kinemark"
    done = subprocess.run(
        [kinemark, "verify", clip, "--json"], capture_output=True, text=True, check=True, env=elsewhere, cwd=tmp_path
    )
    answer = json.loads(done.stdout)
    assert (answer["made_by"], len(answer["findings"])) == ("this_installation", 6)
    missing = subprocess.run([kinemark, "verify", "nowhere.mp4"], capture_output=True, text=True, env=elsewhere)
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr
    shutil.rmtree(place)
