import functools
import json
import math
import random
from dataclasses import replace

import pytest
import torch

from kinemark.errors import FailureError
from kinemark.training.exam import HELD_OUT, PLAIN, SIX, WIDE, draw_questions
from kinemark.training.summary import RATIOS, ClipRecord, summarise

CEILINGS = dict.fromkeys((*SIX, "size", "speed", "camera", "look", "count", "time_end"), 0.999) | {
    "second_subject": 0.97
}
EVEN = dict.fromkeys(RATIOS, 1.0)


questions = functools.cache(draw_questions)


def records(group, n, wrong=None):
    """Clips in which everything is as said; `wrong` changes what is read of them."""
    made = []
    for index, question in enumerate(questions(group, 300 if group is PLAIN else 60)[:n]):
        truth = question.scene.values() | {"count": str(len(question.scene.subjects))}
        read = truth | (wrong(index, truth) if wrong else {})
        made.append(ClipRecord(group.name, question.said, read, truth, EVEN, EVEN))
    return made


def test_truth_has_everything_right():
    report = summarise(records(PLAIN, 60) + records(HELD_OUT, 20) + records(WIDE, 40), CEILINGS)
    assert report.n == 60
    assert all(share.rate == 1 for share in [*report.adherence.values(), *report.held_out.values()])
    assert all(share.rate == 1 for share in report.apart.values())
    assert all(ratio == 1 for ratio in report.ratios.values())


def test_one_wrong_attribute_makes_everything_wrong_and_nothing_else():
    def miss(index, truth):
        return {"colour": "none"} if index % 4 == 0 else {}

    report = summarise(records(PLAIN, 60, miss), CEILINGS)
    assert report.adherence["colour"].hits == report.adherence["all"].hits == 45
    assert report.adherence["setting"].hits == 60


def test_errors_in_different_clips_add_up_in_everything():
    def miss(index, truth):
        return {SIX[index % 6]: "none"} if index < 12 else {}

    report = summarise(records(PLAIN, 60, miss), CEILINGS)
    assert report.adherence["all"].hits == 48
    assert all(report.adherence[name].hits == 58 for name in SIX)


def test_shuffled_prompts_fall_to_chance():
    report = summarise(records(PLAIN, 300), CEILINGS)
    assert report.chance["time"] == pytest.approx(1 / 5, abs=0.03)
    assert report.chance["setting"] == pytest.approx(1 / 9, abs=0.03)
    for name, share in report.shuffled.items():
        assert share.rate < 0.4
        assert share.rate == pytest.approx(report.chance[name], abs=0.1)


def test_a_reading_that_follows_the_list_instead_of_the_clip_is_found_out():
    # Every prompt is asked twice, half the list apart: shuffled, it meets itself.
    twice = records(PLAIN, 40) * 2
    with pytest.raises(FailureError, match="text-shuffle control fails"):
        summarise(twice, CEILINGS)


def test_a_frozen_clip_does_not_win():
    frozen = [replace(record, measured=EVEN | {"motion_energy": 0.0}) for record in records(PLAIN, 30)]
    assert summarise(frozen, CEILINGS).ratios["motion_energy"] == 0


def test_ratios_are_of_means_and_nothing_moves_in_nothing():
    rows = records(PLAIN, 30)
    rows[0] = replace(rows[0], measured=EVEN | {"drift": 16.0})
    assert summarise(rows, CEILINGS).ratios["drift"] == pytest.approx(1.5)
    still = [replace(row, truth_measured=EVEN | {"motion_energy": 0.0}) for row in rows]
    assert math.isnan(summarise(still, CEILINGS).ratios["motion_energy"])


def test_what_the_probe_reads_badly_is_not_reported():
    report = summarise(records(PLAIN, 30) + records(WIDE, 60), CEILINGS)
    assert "second_subject" not in report.apart
    assert report.to_dict()["not_reported"] == {"second_subject": 0.97}
    assert {"camera", "look", "count"} <= report.apart.keys()


def test_light_that_stays_is_not_counted_as_light_that_changes():
    report = summarise(records(PLAIN, 30) + records(WIDE, 60), CEILINGS)
    changing = [q for q in questions(WIDE, 60) if q.said.get("time_end") not in (None, q.said["time"])]
    assert report.apart["time_end"].n == len(changing) > 10


def test_the_drop_at_256_pixels_is_of_the_clips_that_were_decoded():
    rows = records(PLAIN, 40)
    rows[:10] = [
        replace(row, decoded_read=row.read | ({"time": "none"} if i < 2 else {})) for i, row in enumerate(rows[:10])
    ]
    decoded = summarise(rows, CEILINGS).decoded
    assert (decoded["latent"].hits, decoded["decoded"].hits, decoded["decoded"].n) == (10, 8, 10)
    assert summarise(records(PLAIN, 30), CEILINGS).decoded == {}


def test_the_json_keeps_its_contract():
    report = summarise(records(PLAIN, 60) + records(HELD_OUT, 20), CEILINGS, {"model": "spark", "n": 1, "held_out": 20})
    record = json.loads(json.dumps(report.to_dict()))
    assert record["n"] == 60
    assert record["adherence"] == dict.fromkeys([*SIX, "all"], 1.0)
    assert record["held_out"] == dict.fromkeys([*SIX, "all"], 1.0) | {"n": 20}
    assert record["model"] == "spark"
    metrics = report.metrics()
    assert (metrics["n"], metrics["adherence_all"], metrics["held_out_all"], metrics["drift_ratio"]) == (60, 1, 1, 1)
    low, high = record["intervals"]["adherence"]["all"]
    assert 0.93 < low < high <= 1


def test_records_without_held_out_clips_say_so():
    assert summarise(records(PLAIN, 30), CEILINGS).to_dict()["held_out"] == {"n": 0}


def test_random_reading_is_right_by_chance():
    rng = random.Random(0)
    rows = records(PLAIN, 300)
    reads = [row.read for row in rows]
    rng.shuffle(reads)
    report = summarise([replace(row, read=read) for row, read in zip(rows, reads, strict=True)], CEILINGS)
    assert report.adherence["all"].rate < 0.02
    assert torch.isfinite(torch.tensor(report.chance["all"]))
