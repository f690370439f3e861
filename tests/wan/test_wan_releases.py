"""The table of releases holds together."""

import pytest

from kinemark.sampling.methods import METHODS
from kinemark.wan.releases import RELEASES


@pytest.mark.parametrize("name", RELEASES)
def test_every_release_can_be_run(name):
    release = RELEASES[name]
    sampler = METHODS[release.method]
    assert release.name == name
    assert sampler.block_slots == release.config.block_slots
    assert release.target.size == release.target.sizes.grid(release.target.size)
    assert (len(release.guidance) == 2) == (release.boundary is not None)
    assert (release.base is None) == (release.file is None)
    if release.base:
        base = RELEASES[release.base]
        assert base.config.out_channels == release.config.out_channels


def test_sizes_are_as_published():
    assert RELEASES["wan2.1-1.3b"].parameters == 1_418_996_800
    assert RELEASES["wan2.2-14b"].parameters == 2 * 14_288_491_584
