"""As many workers as there is work for, and nobody waits for ever."""

import time

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from kinemark.server.database import open_database
from kinemark.server.depth import Depth, depths, wanted
from kinemark.server.jobs import Jobs, New
from kinemark.server.tables import JOBS

NAMES = st.sampled_from(["spark", "wan2.1-1.3b", "wan2.1-14b", "wan2.2-5b", "mine"])
DEPTHS = st.dictionaries(NAMES, st.builds(Depth, st.integers(0, 50), st.integers(0, 5), st.floats(0, 1e9)))


@given(depth=DEPTHS, warm=NAMES, most=st.integers(1, 12))
def test_bounds(depth, warm, most):
    asked = wanted(depth, warm, most)
    jobs = {model: one.waiting + one.running for model, one in depth.items()}
    busy = [model for model, count in jobs.items() if count]
    assert 1 <= sum(asked.values()) <= most
    assert all(count >= 1 for count in asked.values())
    for model, count in asked.items():
        assert count <= max(1, jobs.get(model, 0))
        assert jobs.get(model) or model == warm
    if len(busy) <= most:
        assert set(busy) <= set(asked)
    if len(busy) < most:
        assert warm in asked
    if sum(jobs.values()) >= most:
        assert sum(asked.values()) == most or warm not in busy


@given(depth=DEPTHS, warm=NAMES)
def test_where_there_is_one_worker_it_goes_to_whoever_waits_longest(depth, warm):
    (model,) = wanted(depth, warm, 1)
    busy = {name: one.since for name, one in depth.items() if one.waiting + one.running}
    assert model == warm if not busy else busy[model] == min(busy.values())


def test_what_waits_is_told_by_model(database):
    engine = open_database(database)
    jobs = Jobs(engine)
    assert depths(engine) == {}
    for number, model in enumerate(("spark", "spark", "spark", "wan")):
        jobs.add(New("me", model, {}, {}, 1.0, str(number)))
    first = jobs.claim("a", ["spark"])
    told = depths(engine)
    assert {name: (one.waiting, one.running) for name, one in told.items()} == {"spark": (2, 1), "wan": (1, 0)}
    assert abs(told["spark"].since - time.time()) < 60
    with engine.begin() as connection:  # its worker is not heard of any more
        connection.execute(update(JOBS).where(JOBS.c.id == first.id).values(lease_until=1.0))
    assert depths(engine)["spark"].waiting == 3
    again = jobs.claim("b", ["spark"])
    jobs.complete(again, [], {}, 60)
    assert (depths(engine)["spark"].waiting, depths(engine)["spark"].running) == (2, 0)
