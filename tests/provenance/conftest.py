import pytest
from provenance_clips import FACTS, ball

from command_line import decision
from kinemark.provenance.release import release
from kinemark.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def released_once(tmp_path_factory):
    """(settings, Released): one small clip that went the whole way; do not change these files, copy them."""
    folder = tmp_path_factory.mktemp("released")
    settings = Settings(home=folder / "home")
    frames = ball(frames=9, height=160, width=256)
    return settings, release(frames, decision(frames), folder / "clip.mp4", FACTS, settings)
