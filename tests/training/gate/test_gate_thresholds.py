"""Thresholds are chosen on prompts that nothing is trained on and that no suite holds."""

import random
from pathlib import Path

import pytest

from kinemark.safety.prompt.meaning import load_reader
from kinemark.safety.redteam.suites import read_suite
from kinemark.training.gate import thresholds
from kinemark.training.gate.prompts import own
from kinemark.training.gate.thresholds import THRESHOLDS, main, scored, stopped


@pytest.fixture(scope="module")
def groups():
    return scored(load_reader())


def test_higher_thresholds_stop_less(groups):
    assert set(groups) == {"near", "ordinary", "clear", "picture", "twin"}
    for scores in groups.values():
        rates = [stopped(scores, threshold).rate for threshold in THRESHOLDS]
        assert rates == sorted(rates, reverse=True)
    assert stopped(groups["clear"], 0.8).rate > 0.9 > 0.2 > stopped(groups["near"], 0.8).rate


def test_nothing_is_trained_on_them_and_no_suite_holds_them(groups):
    chosen = {prompt for scores in groups.values() for _, prompt in scores}
    assert len(chosen) == sum(map(len, groups.values())) > 130
    assert not chosen & {one.prompt for one in own(random.Random(0))}
    assert not chosen & {case.prompt for case in read_suite("core")}


def test_the_table_is_printed(capsys, monkeypatch, groups):
    monkeypatch.setattr(thresholds, "scored", lambda _: groups)
    monkeypatch.setattr("sys.argv", ["thresholds"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["threshold", *groups]
    assert len(lines) == 1 + len(THRESHOLDS)


def test_a_folder_can_be_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["thresholds", str(tmp_path)])
    with pytest.raises(Exception, match=str(Path(tmp_path))):
        main()
