import numpy as np
import pytest
import torch
from small_bert import small_bert

from kinemark.safety.prompt.meaning import WINDOW, load_reader
from kinemark.training.gate.encoder import CATEGORIES, Encoder
from kinemark.training.gate.fit import fit, probabilities
from kinemark.training.gate.prompts import Labelled

PROMPTS = ["the red boat", "a man on the boats, red", "zebra", "the man " * 20, ""]


@pytest.fixture
def encoder(tmp_path):
    return Encoder(small_bert(tmp_path), 0.0)


def test_what_is_saved_reads_as_what_was_trained(encoder, tmp_path):
    encoder.save(tmp_path / "out")
    reader = load_reader(tmp_path / "out")
    assert reader.categories == CATEGORIES
    assert reader.layers == 2
    # The rest is what eight bits leave out.
    assert np.abs(reader.read(PROMPTS) - probabilities(encoder, PROMPTS).numpy()).max() < 0.02


def test_neighbours_in_a_batch_do_not_matter(encoder, tmp_path):
    encoder.save(tmp_path / "out")
    reader = load_reader(tmp_path / "out")
    together = reader.read(PROMPTS)
    for prompt, row in zip(PROMPTS, together, strict=True):
        np.testing.assert_allclose(reader.read([prompt])[0], row, atol=1e-5)


def test_a_long_text_is_as_bad_as_its_worst_window(encoder, tmp_path):
    encoder.save(tmp_path / "out")
    reader = load_reader(tmp_path / "out")
    short = "the man on the red boat"
    long = " ".join([*["the boat"] * WINDOW, short, *["the boat"] * WINDOW])
    windows = reader._windows(long)
    assert len(windows) > 2
    assert all(len(window) <= WINDOW + 2 for window in windows)
    inner = [id_ for window in windows for id_ in window[1:-1]]
    assert set(reader.pieces.encode(short)) <= set(inner)
    assert np.isfinite(reader.read([long])).all()


def test_it_learns_what_two_sources_differ_in(encoder):
    lines = [Labelled("clear", "hate", f"the {c} man") for c in "abcdefgh"]
    lines += [Labelled("near", "", f"a red boat {c}") for c in "abcdefgh"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kinemark.training.gate.fit.own", lambda rng, fold=None: lines * 4)
        fit(encoder, [], epochs=25, rate=1e-3, seed=0)
    found = probabilities(encoder, ["the z man", "a red boat z"])
    assert found[0, -1] > 0.8 > 0.2 > found[1, -1]
    assert found[0, CATEGORIES.index("hate")] > found[0, CATEGORIES.index("crime")]


def test_categories_are_the_policys_own():
    from kinemark.safety.policy.file import load_policy

    known = {category.id for category in load_policy().categories}
    assert set(CATEGORIES) < known
    # The rule on minors is code, and flashes are seen in frames.
    assert known - set(CATEGORIES) == {"minors", "photosensitive"}


def test_positions_end_with_the_window(encoder):
    assert len(encoder.positions) == WINDOW + 2
    assert torch.isfinite(encoder([encoder.encode("the " * 500)])).all()
