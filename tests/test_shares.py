import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.shares import Share


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 100, 0, 0.0370), (50, 100, 0.4038, 0.5962), (95, 100, 0.8882, 0.9785)]
)
def test_intervals_against_published_values(hits, n, low, high):
    assert Share(hits, n).interval == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(n=st.integers(1, 2000), share=st.floats(0, 1))
def test_interval_holds_the_rate_and_narrows_with_n(n, share):
    one, ten = Share(round(n * share), n), Share(10 * round(n * share), 10 * n)
    low, high = one.interval
    assert 0 <= low <= one.rate + 1e-12
    assert one.rate - 1e-12 <= high <= 1
    assert ten.interval[1] - ten.interval[0] < high - low
    assert one.interval_at(0.99)[0] <= low + 1e-12


@given(n=st.integers(2, 2000), share=st.floats(0.01, 0.99))
def test_a_rate_at_either_end_of_the_interval_would_just_explain_what_was_seen(n, share):
    seen = Share(round(n * share), n)
    for bound in seen.interval:
        assert (seen.rate - bound) ** 2 == pytest.approx(1.9599640**2 * bound * (1 - bound) / n, abs=1e-7)


def test_none_of_ten_may_still_be_a_quarter():
    assert Share(0, 10).interval == pytest.approx((0.0, 3.8414588 / 13.8414588), abs=1e-7)


def test_a_share_of_nothing_says_nothing():
    assert math.isnan(Share(0, 0).rate)
    assert Share(0, 0).interval == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "n"), [(-1, 3), (4, 3)])
def test_an_impossible_share_is_an_error(hits, n):
    with pytest.raises(ValueError, match="not a share"):
        Share(hits, n)


def test_a_share_is_printed_with_its_interval():
    assert str(Share(1, 2)) == "50.0% (9.5% to 90.5%, n = 2)"
