"""As many workers as there is work for, and nobody waits for ever."""

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from live import service_of
from sqlalchemy import update
from starlette.testclient import TestClient

from kinemark.server.app import api_app
from kinemark.server.database import open_database
from kinemark.server.depth import Depth, Paces, depths, wanted
from kinemark.server.jobs import Jobs, New
from kinemark.server.pages import Wanted
from kinemark.server.tables import JOBS
from kinemark.settings import Settings

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


def test_a_pace_is_what_the_last_clips_took(database):
    engine = open_database(database)
    jobs, paces = Jobs(engine), Paces(engine)
    assert paces.cost("spark", 4.0) == 4.0  # nobody knows yet
    for number, took in enumerate((8.0, 4.0, 400.0)):
        made = jobs.add(New("me", "spark", {}, {}, 1.0, str(number), seconds=2.0))
        jobs.complete(jobs.claim("a"), [], {}, 60)
        with engine.begin() as connection:
            ended = JOBS.c.started_at + took
            connection.execute(update(JOBS).where(JOBS.c.id == made.id).values(completed_at=ended))
    assert paces.cost("spark", 4.0) == 4.0  # remembered for a while
    assert abs(Paces(engine).cost("spark", 4.0) - 16.0) < 0.1  # one that waited for its worker does not count
    assert Paces(engine).cost("other", 4.0) == 4.0


def test_a_queued_job_knows_what_it_waits_for(database):
    engine = open_database(database)
    jobs, paces = Jobs(engine), Paces(engine)
    costs, priorities = (10.0, 20.0, 4.0, 8.0), (0, 0, 0, 5)
    made = [
        jobs.add(New("me", "spark", {}, {}, cost, str(number), priority=priority))
        for number, (cost, priority) in enumerate(zip(costs, priorities, strict=True))
    ]
    assert [paces.wait(job).ahead for job in made] == [1, 2, 3, 0]
    assert {paces.wait(job).seconds for job in made} == {None}  # nobody works
    begun = jobs.claim("a")
    assert begun.id == made[3].id
    jobs.renew(begun, 50)
    assert [(paces.wait(job).ahead, paces.wait(job).seconds) for job in made[:3]] == [(0, 4.0), (1, 14.0), (2, 34.0)]
    jobs.claim("b")
    assert (paces.wait(made[2]).ahead, paces.wait(made[2]).seconds) == (1, (4.0 + 10.0 + 20.0) / 2)


def test_a_model_that_takes_long_fills_the_queue_sooner(tmp_path):
    service = service_of(Settings(home=tmp_path), f"sqlite:///{tmp_path / 'j.sqlite'}", tmp_path / "files")
    service = replace(service, most_waiting=10.0)
    service.paces._known["tiny"] = (float("inf"), 6.0)
    asked = {"prompt": "a boat", "seconds": "1", "size": "128x128"}
    with TestClient(api_app(service), headers={"Authorization": "Bearer any"}) as http:
        assert [http.post("/v1/videos", json=asked).status_code for _ in range(2)] == [200, 429]
    (job,), _ = service.jobs.page("operator", Wanted())
    assert job.cost == 6.0
