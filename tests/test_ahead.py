"""One piece ahead, in a thread of its own, and no further."""

import threading
import time

import pytest

from kinemark.ahead import ahead


def counted(made, n=10, fail_at=None):
    for number in range(n):
        if number == fail_at:
            raise OSError("the disk is full")
        made.append((number, threading.current_thread().name))
        yield number


def test_pieces_come_in_order_from_another_thread():
    made = []
    with ahead(counted(made)) as pieces:
        assert list(pieces) == list(range(10))
    assert {name for _, name in made} == {"ahead"}


def test_no_more_than_one_waits_while_another_is_being_put():
    made = []
    with ahead(counted(made)) as pieces:
        assert next(pieces) == 0
        time.sleep(0.3)
        assert len(made) <= 3


def test_making_goes_on_while_a_piece_is_used():
    started = threading.Event()

    def two():
        yield 1
        started.set()
        yield 2

    with ahead(two()) as pieces:
        assert next(pieces) == 1
        assert started.wait(5)


def test_an_error_is_raised_where_the_piece_is_taken():
    taken = []
    with ahead(counted([], fail_at=3)) as pieces, pytest.raises(OSError, match="the disk is full"):
        taken.extend(pieces)
    assert taken == [0, 1, 2]


def test_whoever_leaves_stops_it():
    made, before = [], threading.active_count()
    with ahead(counted(made, n=10**9)) as pieces:
        assert next(pieces) == 0
    assert threading.active_count() == before
    assert len(made) < 10
