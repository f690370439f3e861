import datetime as dt
import sqlite3

import pytest

from kinemark.errors import FailureError, RequestError
from kinemark.safety.desk.cases import MAX_TEXT, Desk
from kinemark.safety.desk.clocks import KINDS, clock

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def hours(count):
    return NOW + dt.timedelta(hours=count)


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path / "home" / "desk.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_clock_an_owner_and_an_answer(desk, kind):
    case = desk.open_case(kind, subject="clip-1", text=" it shows me ", now=NOW, contact="me@example.org")
    known = clock(kind)
    assert case.due == hours(known.grounds[0].hours).isoformat(timespec="seconds")
    assert case.owner == known.owner
    assert not case.overdue(NOW)
    assert [step.text for step in case.steps] == ["it shows me"]
    assert desk.cases(kind, pending=True) == [case]
    assert desk.assign(case.id, "Kim", now=hours(1)).owner == "Kim"
    done = desk.decide(case.id, known.outcomes[0], "because of this", by="Kim", now=hours(0.5))
    statement = done.statement()
    assert statement["outcome"] == known.outcomes[0]
    assert statement["reasons"] == "because of this"
    assert statement["decided_by"] == "Kim"
    assert statement["clock"] == known.grounds[0].source
    assert statement["automated"] is False
    assert desk.cases(kind, pending=True) == []
    assert desk.cases(kind) == [done]


def test_the_law_sets_the_clock(desk):
    by_law = {"intimate": 48, "intimate-india": 2, "unlawful-india": 3}
    for ground, limit in by_law.items():
        case = desk.open_case("takedown", subject="clip", text="mine", ground=ground, now=NOW)
        assert case.due == hours(limit).isoformat(timespec="seconds")
        assert not case.overdue(hours(limit))
        assert case.overdue(hours(limit + 0.01))
    assert [case.ground for case in desk.cases("takedown")] == ["intimate-india", "unlawful-india", "intimate"]


def test_a_late_answer_stays_late(desk):
    case = desk.open_case("incident", subject="clip", text="leak", ground="security", now=NOW)
    late = desk.decide(case.id, "resolved", "closed", by="Kim", now=hours(25))
    assert late.overdue(NOW)


def test_a_case_is_decided_once(desk):
    case = desk.open_case("appeal", subject="deception-2", text="it was satire", now=NOW)
    desk.decide(case.id, "overturned", "satire is allowed", by="Kim", now=hours(1))
    with pytest.raises(RequestError, match="was decided at 2026-03-01T13:00:00"):
        desk.decide(case.id, "upheld", "no", by="Kim", now=hours(2))
    with pytest.raises(RequestError, match="was decided"):
        desk.assign(case.id, "Lee", now=hours(2))
    assert len(desk.case(case.id).steps) == 2


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"text": "  "}, "say what it is about; it is empty"),
        ({"subject": ""}, "say which clip or rule"),
        ({"text": "x" * (MAX_TEXT + 1)}, "8001 characters are too many"),
        ({"ground": "boredom"}, "appeal has no ground 'boredom'; choose one of: refusal"),
    ],
)
def test_what_cannot_be_opened_is_said(desk, change, complaint):
    with pytest.raises(RequestError, match=complaint):
        desk.open_case("appeal", **{"subject": "clip", "text": "hello", "now": NOW, **change})
    assert desk.cases("appeal") == []


def test_what_cannot_be_decided_is_said(desk):
    case = desk.open_case("appeal", subject="clip", text="hello", now=NOW)
    with pytest.raises(RequestError, match="the outcome is 'maybe'; appeal has: upheld, overturned"):
        desk.decide(case.id, "maybe", "hm", by="Kim", now=NOW)
    with pytest.raises(RequestError, match="say the reasons"):
        desk.decide(case.id, "upheld", " ", by="Kim", now=NOW)
    with pytest.raises(RequestError, match="say who decides"):
        desk.decide(case.id, "upheld", "no", by="", now=NOW)
    with pytest.raises(RequestError, match="there is no case 'appeal-0'"):
        desk.case("appeal-0")
    assert desk.case(case.id).decision is None


def test_cases_outlive_the_process_and_steps_cannot_be_removed(tmp_path):
    path = tmp_path / "desk.sqlite"
    with Desk(path) as desk:
        case = desk.open_case("report", subject="clip", text="look", now=NOW)
    with Desk(path) as desk:
        assert desk.case(case.id) == case
    with sqlite3.connect(path) as raw, pytest.raises(sqlite3.IntegrityError, match="steps are kept"):
        raw.execute("DELETE FROM steps")


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "desk.sqlite"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(FailureError, match=r"desk\.sqlite cannot be used"):
        Desk(path)
