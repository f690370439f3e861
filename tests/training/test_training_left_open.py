"""What spark makes of nothing, and what its world is like."""

import pytest

from kinemark.model.load import load_networks
from kinemark.safety.audit import audit
from kinemark.training.exam import SIX
from kinemark.training.left_open import expected, labelled


def test_the_world_is_what_the_scenes_are_drawn_from():
    reference = expected()
    assert set(reference) == set(SIX)
    for shares in reference.values():
        assert sum(shares.values()) == pytest.approx(1)
    # Times of day are drawn evenly.
    assert max(reference["time"].values()) - min(reference["time"].values()) < 0.03


@pytest.mark.slow
def test_clips_are_made_and_read():
    told = []
    found = labelled(load_networks("spark"), 3, progress=lambda done, total: told.append((done, total)))
    assert [label.attribute for label in found] == [*SIX] * 3
    assert told == [(3, 3)]
    assert [one.n for one in audit(found, expected())] == [3] * len(SIX)
