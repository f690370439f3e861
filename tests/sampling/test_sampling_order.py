from hypothesis import given
from hypothesis import strategies as st

from kinemark.sampling.order import in_order, ranks

SLOTS = st.lists(st.booleans(), min_size=1, max_size=24)


def order(given_slots, size=1, horizon=8.0, ahead=2, sinks=1, times=None):
    times = times or [float(slot) for slot in range(len(given_slots))]
    return in_order(times, given_slots, size, horizon=horizon, ahead=ahead, sinks=sinks)


def told(text, **rest):
    """The order of slots of a clip written as one letter each, g for given and m for made."""
    return [run.slots for run in order([letter == "g" for letter in text], **rest)]


@given(SLOTS, st.integers(1, 4), st.integers(1, 10), st.integers(0, 3))
def test_every_slot_comes_once_and_given_and_made_ones_are_never_mixed(given_slots, size, horizon, ahead):
    runs = order(given_slots, size, float(horizon), ahead)
    assert sorted(slot for run in runs for slot in run.slots) == list(range(len(given_slots)))
    for run in runs:
        assert len(run.slots) <= size
        assert {given_slots[slot] for slot in run.slots} == {run.given}
        assert list(run.slots) == list(range(run.slots[0], run.slots[-1] + 1))


@given(SLOTS, st.integers(1, 10), st.integers(0, 3))
def test_whatever_is_made_sees_what_is_given_before_it_and_a_little_of_what_comes(given_slots, horizon, ahead):
    given_slots = [True, *given_slots]
    runs = order(given_slots, 1, float(horizon), ahead)
    for index, run in enumerate(runs):
        if run.given:
            continue
        (slot,) = run.slots
        seen = {own for before in runs[:index] if before.given for own in before.slots}
        assert {own for own in range(slot) if given_slots[own]} <= seen
        beyond = [own for own in seen if own > slot]
        assert len(beyond) <= ahead
        assert all(own - slot <= horizon for own in beyond)


@given(SLOTS, st.integers(1, 10))
def test_a_slot_is_made_beside_one_that_is_there(given_slots, horizon):
    there = set()
    for run in order(given_slots, 1, float(horizon)):
        (slot,) = run.slots
        if not run.given and there and True in given_slots:
            assert there & {slot - 1, slot + 1} or not any(given_slots)
        there.add(slot)


def test_gaps_are_made_forwards_from_what_is_given():
    assert told("gmmm") == [(0,), (1,), (2,), (3,)]
    assert told("mmmm") == [(0,), (1,), (2,), (3,)]


def test_a_gap_that_only_leads_somewhere_is_made_backwards():
    assert told("mmgg") == [(3,), (2,), (1,), (0,)]
    assert told("mmgm", size=2) == [(2,), (0, 1), (3,)]


def test_what_is_to_be_arrived_at_is_shown_when_it_is_near():
    assert told("gmmmmg", horizon=2.0) == [(0,), (1,), (2,), (5,), (3,), (4,)]
    assert told("gmmgggg", horizon=8.0, ahead=2) == [(0,), (3,), (4,), (1,), (2,), (5,), (6,)]


def test_a_still_between_slots_comes_before_the_slot_that_it_leads():
    runs = order([False, False, False, True], times=[0.0, 1.0, 2.0, 1.5])
    assert [run.slots for run in runs] == [(3,), (1,), (0,), (2,)]


def test_what_is_too_far_to_be_seen_is_said_to_be():
    runs = order([True] * 12 + [False], horizon=3.0)
    assert [run.slots[0] for run in runs if run.seen] == [0, 9, 10, 11]
    assert [run.slots[0] for run in order([False] * 3) if run.seen] == [0, 1]


def test_ranks_put_everything_that_is_given_first():
    assert ranks([0.0, 1.0, 2.0, 3.0], [False, True, False, True], 1) == [2, 0, 3, 1]
    assert ranks([0.0, 1.0, 2.0, 3.0], [False, False, False, True], 2) == [1, 1, 2, 0]
