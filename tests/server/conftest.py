import secrets
import shutil

import numpy as np
import pytest
from sqlalchemy import create_engine

from command_line import decision
from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.provenance.release import ReleaseFacts, release
from kinemark.provenance.signing.credits import Credits
from kinemark.settings import Settings

FACTS = ReleaseFacts(fps=8.0, model="spark", weights_digest="ab" * 32)


def scene(seed, frames=16, height=160, width=256):
    """A moving blob before a still texture, [T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    small = rng.integers(30, 220, (5, 8, 3)).astype(float)
    texture = np.kron(small, np.ones((height // 5, width // 8, 1)))
    y, x = np.mgrid[0:height, 0:width]
    pictures = []
    for t in range(frames):
        where = (width * (0.2 + 0.6 * t / frames), height * rng.uniform(0.48, 0.52))
        blob = np.exp(-((x - where[0]) ** 2 + (y - where[1]) ** 2) / (2 * 20**2))[..., None]
        pictures.append(texture * (1 - blob) + np.array([240, 40, 40]) * blob)
    return np.stack(pictures).round().clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def installation(tmp_path_factory):
    """(settings, {name: Released}): three clips, one with credits, one erased later; do not change these."""
    folder = tmp_path_factory.mktemp("resolution")
    settings = Settings(home=folder / "home")
    made = {}
    for seed, (name, rights) in enumerate(
        (("plain", None), ("credited", Credits(creator="the studio")), ("gone", None))
    ):
        frames = scene(seed)
        facts = ReleaseFacts(8.0, "spark", "ab" * 32, credits=rights)
        made[name] = release(frames, decision(frames), folder / f"{name}.mp4", facts, settings)
    return settings, made


@pytest.fixture
def settings(installation, tmp_path):
    """A copy of that installation, to change."""
    shutil.copytree(installation[0].home, tmp_path / "home")
    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def stripped(installation, tmp_path_factory):
    """The plain clip as a platform passes it on: encoded again, without its credentials."""
    path = tmp_path_factory.mktemp("stripped") / "copy.mp4"
    encode_mp4(read_video(installation[1]["plain"].path).frames_THWC, 8.0, path)
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """The address of a new, empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    return request.getfixturevalue("postgres_server").url(f"test{secrets.token_hex(6)}")


@pytest.fixture(autouse=True)
def _connections_end(monkeypatch):
    """Connections that a test opened are closed after it."""
    made = []

    def remembered(*arguments, **options):
        made.append(create_engine(*arguments, **options))
        return made[-1]

    monkeypatch.setattr("kinemark.server.database.create_engine", remembered)
    yield
    for engine in made:
        engine.dispose()
