"""Steps go on, pause where there is nothing to do, outlive what fails, and end."""

import threading

from sqlalchemy.exc import OperationalError

from kinemark.errors import FailureError
from kinemark.server.repeat import repeat, repeating


def test_steps_follow_each_other_until_there_is_nothing_to_do():
    stop, taken = threading.Event(), []

    def step():
        taken.append(len(taken))
        if len(taken) == 5:
            stop.set()
        return len(taken) < 3

    repeat(step, 0.001, stop)
    assert taken == [0, 1, 2, 3, 4]


def test_what_does_not_answer_is_waited_for():
    stop, errors = threading.Event(), [OperationalError("select", {}, OSError()), FailureError("the storage fails")]

    def step():
        if errors:
            raise errors.pop()
        stop.set()
        return True

    repeat(step, 0.001, stop)
    assert not errors


def test_what_fails_in_a_new_way_is_told_and_ends_nothing(caplog):
    stop, errors = threading.Event(), [ZeroDivisionError("what?")]

    def step():
        if errors:
            raise errors.pop()
        stop.set()
        return True

    repeat(step, 0.001, stop)
    assert "failed unexpectedly" in caplog.text
    assert "ZeroDivisionError: what?" in caplog.text


def test_it_ends_with_its_context():
    before, stepped = threading.active_count(), threading.Event()

    def step():
        stepped.set()
        return False

    with repeating(step, 60):
        assert stepped.wait(5)
    assert threading.active_count() == before
