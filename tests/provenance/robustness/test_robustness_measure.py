import json
from dataclasses import replace

import numpy as np
import pytest
from provenance_clips import sunset, texture

from kinemark.provenance.robustness import measure, report
from kinemark.provenance.robustness.measure import Kinemark, Outcome, Source
from kinemark.provenance.robustness.pixels import Clip
from kinemark.provenance.robustness.report import Report
from kinemark.provenance.robustness.table import ROWS

SOURCES = [
    Source(f"{make.__name__} {i}", "drawn", Clip(make(frames=8), 8.0)) for i, make in enumerate((sunset, texture))
]
CHOSEN = [row for row in ROWS if row.name in {"H.264, CRF 18-32", "backwards", "spliced with other footage"}]


def all_trials(rows):
    shares = measure.run_rows(rows, SOURCES, Kinemark(), factor=0.02, jobs=2)
    return [trial for trials in shares for trial in trials]


@pytest.fixture(scope="module")
def measured():
    method = Kinemark()
    results = measure.results(CHOSEN, all_trials(CHOSEN))
    full = Report({"date": "2026-11-26"}, {"256": {"kinemark": results}})
    full.marks = {"256": {"kinemark": measure.run_imperceptibility(SOURCES, method, jobs=2)}}
    full.unmarked = measure.run_unmarked(SOURCES, method, segments=4, jobs=2)
    full.wrong_keys = measure.run_wrong_keys(SOURCES, keys=4, jobs=2)
    full.averaged = measure.averaged_mark(SOURCES, method, count=100)
    return full


@pytest.mark.slow
def test_rows_are_measured_and_targets_compared(measured):
    results = measured.tables["256"]["kinemark"]
    assert [result.row.name for result in results] == [row.name for row in CHOSEN]
    assert all(result.false_ids == 0 for result in results)
    assert results[1].rates["payload"].n == 2
    none = replace(results[1], rates={"payload": measure.Rate.of([False], [0])})
    assert report.missed(Report({}, {"256": {"kinemark": [none]}})) == ["256: backwards (payload): 0%, asked 90%"]


@pytest.mark.slow
def test_nothing_is_found_where_nothing_is(measured):
    assert not any(trial.presence or trial.false_id for trial in measured.unmarked)
    assert measured.averaged == Outcome(None, measured.averaged.present, measured.averaged.spans)
    assert len(measured.wrong_keys) == 4096
    assert np.mean(np.array(measured.wrong_keys) < 0.1) == pytest.approx(0.1, abs=0.03)


@pytest.mark.slow
def test_both_forms_of_the_report_say_the_same(measured):
    page, data = report.to_markdown(measured), json.loads(json.dumps(report.to_json(measured)))
    assert "H.264, CRF 18-32" in page
    assert "4 unmarked segments" in page
    assert data["unmarked"] == {"segments": 4, "present": 0, "ids": 0}
    assert data["marks"]["256"]["kinemark"]["psnr_worst_frame"] >= 42


@pytest.mark.slow
def test_the_same_arguments_give_the_same_numbers():
    assert all_trials(CHOSEN[:1]) == all_trials(CHOSEN[:1])


@pytest.mark.slow
def test_a_row_alone_gives_what_it_gives_among_others(measured):
    alone = measure.results(CHOSEN[1:2], all_trials(CHOSEN[1:2]))
    assert alone == measured.tables["256"]["kinemark"][1:2]


def test_every_row_is_tried_as_often_as_it_asks():
    assert [measure.trials_of(row, 0.1) for row in CHOSEN] == [12, 6, 6]
    assert measure.marked_clips(CHOSEN, 0.1) == 12
    assert measure.trials_of(CHOSEN[1], 0.001) == 2


def test_a_report_of_nothing_says_so():
    assert "Not run." in report.to_markdown(Report({}))
