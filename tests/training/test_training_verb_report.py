"""Figures of trials, with the intervals that go with them."""

import pytest

from kinemark.training.verb_report import Figure, summary, told, write_verbs

TRIALS = [
    {"seam": 1.0, "kept": 1.0, "others": 0.75, "moved": 0.5, "truth_moved": 1.0},
    {"seam": 1.2, "kept": 1.0, "others": 1.0, "moved": 0.2, "truth_moved": 0.4},
    {"seam": 4.0, "kept": 0.0, "others": 0.5, "moved": 0.7, "truth_moved": 0.6},
]


def figures():
    return {figure.name: figure for figure in summary(TRIALS)}


def test_a_ratio_has_a_median_and_the_share_within_its_bounds():
    seam = figures()["seam"]
    assert seam.middle == 1.2
    assert (seam.share.hits, seam.share.n) == (2, 3)


def test_yes_and_no_is_a_share_and_anything_else_a_mean():
    found = figures()
    assert (found["kept"].share.hits, found["kept"].middle) == (2, None)
    assert found["others"].middle == 0.75
    assert found["others"].share is None


def test_motion_is_that_of_all_clips_together():
    assert figures()["motion"].middle == pytest.approx(0.7)
    assert "moved" not in figures()
    assert summary([{"kept": 1.0}]) == [Figure("kept", share=figures()["kept"].share.__class__(1, 1))]


def test_lines_and_json_say_the_same():
    lines = told({"extend": TRIALS})
    assert lines[0] == "extend (n = 3)"
    assert "median 1.2; within 0 to 1.5: 66.7% (20.8% to 93.9%, n = 3)" in lines[1]
    assert figures()["seam"].to_dict() == {
        "middle": 1.2,
        "share": pytest.approx(2 / 3),
        "low": pytest.approx(0.208, abs=1e-3),
        "high": pytest.approx(0.939, abs=1e-3),
        "n": 3,
    }
    assert figures()["others"].to_dict() == {"middle": 0.75}


def test_the_page_has_a_table_for_each_verb(tmp_path):
    page = write_verbs({"extend": TRIALS, "loop": TRIALS[:1]}, tmp_path / "page")
    text = page.read_text("utf-8")
    assert text.startswith("# How well the verbs")
    assert "## extend (n = 3)" in text
    assert "## loop (n = 1)" in text
    assert "| seam | median 1.2; within 0 to 1.5: 66.7%" in text
