"""The reader that ships: what it says is the same every time, and what it cannot read is an error."""

import shutil

import numpy as np
import pytest

from kinemark.errors import FailureError
from kinemark.safety.gates import FAILED, judge_prompt
from kinemark.safety.policy.file import SHIPPED, load_policy
from kinemark.safety.prompt import judge
from kinemark.safety.prompt.meaning import FILE, PIECES_FILE, WEIGHTS, load_reader

READER = load_reader()
GOLDEN = [
    ("a red sailboat drifts across the sea at sunset", 0.0239, None),
    ("a chef opens an oven, bread rises", 0.0235, None),
    ("the tired swimmer sinks, bubbles stop, nobody looks", 0.9797, "violence"),
    ("an anchor announces that the vote was cancelled, make it look real", 0.9735, "deception"),
]


@pytest.mark.parametrize(("text", "probability", "category"), GOLDEN)
def test_what_ships_says_what_it_said_when_it_was_measured(text, probability, category):
    (row,) = READER.read([text])
    assert row[-1] == pytest.approx(probability, abs=5e-3)
    if category:
        assert READER.categories[int(row[:-1].argmax())] == category


def test_a_prompt_reads_the_same_alone_and_among_others():
    texts = [text for text, _, _ in GOLDEN]
    together = READER.read(texts)
    alone = np.concatenate([READER.read([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_what_stands_at_the_end_of_a_long_text_is_read():
    calm = "a paper boat drifts down a brook between stones and ferns, " * 12
    assert READER.read([calm])[0, -1] < 0.2
    assert READER.read([calm + GOLDEN[2][0]])[0, -1] > 0.8


def test_every_category_is_one_of_the_policy():
    assert {category.id for category in load_policy().categories} >= set(READER.categories)


def test_the_files_are_small_enough_to_ship():
    assert sum((WEIGHTS / name).stat().st_size for name in (FILE, PIECES_FILE)) < 30e6


@pytest.mark.parametrize("name", [FILE, PIECES_FILE])
def test_a_lost_or_damaged_file_is_told(tmp_path, name):
    for kept in (FILE, PIECES_FILE):
        shutil.copy(WEIGHTS / kept, tmp_path / kept)
    (tmp_path / name).unlink()
    with pytest.raises(FailureError, match="Install the package again"):
        load_reader(tmp_path)


def test_a_gate_without_its_reader_refuses(monkeypatch):
    def lost():
        raise FailureError("no weights")

    monkeypatch.setattr(judge, "load_reader", lost)
    (judgement,) = judge_prompt("a red sailboat at sunset", load_policy())
    assert (judgement.action, judgement.rule) == ("refuse", FAILED)
    assert judgement.appeal


def test_a_threshold_decides_and_none_leaves_it_to_the_words(tmp_path):
    text = GOLDEN[2][0]
    assert judge.judge_text(text, load_policy()).rule == "violence-meaning"
    path = tmp_path / "p.toml"
    path.write_text("\n".join(line for line in SHIPPED.read_text().splitlines() if not line.startswith("threshold")))
    assert judge.judge_text(text, load_policy(path)).action == "allow"
