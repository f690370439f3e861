import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.server import limits
from kinemark.server.limits import Allowance, Limits, network

TWO = Allowance(2, 10)


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    return Clock()


def test_an_allowance_is_used_up_and_comes_back(clock):
    counted = Limits(clock)
    assert [counted.wait("10.0.0.1", TWO) for _ in range(3)] == [0, 0, 10]
    assert counted.wait("10.0.0.2", TWO) == 0
    clock.now = 9.0
    assert counted.wait("10.0.0.1", TWO) == 1
    clock.now = 10.0
    assert [counted.wait("10.0.0.1", TWO) for _ in range(3)] == [0, 0, 10]


def test_allowances_are_counted_apart(clock):
    counted = Limits(clock)
    assert [counted.wait("a", TWO) for _ in range(2)] == [0, 0]
    assert counted.wait("a", Allowance(1, 5)) == 0


def test_near_duplicates_of_a_picture_share_its_allowance(clock):
    counted = Limits(clock)
    picture, near, far = bytes(32), bytes([0xFF, 0xFF]) + bytes(30), b"\xff" * 32
    assert [counted.wait_for_picture(one, TWO) for one in (picture, near, picture)] == [0, 0, 10]
    assert counted.wait_for_picture(far, TWO) == 0


def test_drifting_away_step_by_step_ends_in_another_picture_only_after_a_real_change(clock):
    counted = Limits(clock)
    steps = [(2 ** (8 * i) - 1).to_bytes(32) for i in range(4)]  # 8 bits further each time
    assert [counted.wait_for_picture(one, TWO) for one in steps] == [0, 0, 10, 10]


@given(st.text(max_size=40))
def test_any_source_is_somebody(text):
    assert isinstance(network(text), str)


def test_an_ipv6_network_is_one_source():
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("::ffff:10.0.0.1") == network("10.0.0.1") != network("10.0.0.2")


def test_memory_is_bounded(clock, monkeypatch):
    monkeypatch.setattr(limits, "MAX_KEYS", 5)
    counted = Limits(clock)
    for index in range(50):
        counted.wait(f"10.0.0.{index}", TWO)
    assert len(counted._asked) <= 6
