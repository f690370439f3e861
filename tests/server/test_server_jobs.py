"""The queue, on both kinds of database."""

import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from kinemark.server.database import open_database
from kinemark.server.jobs import COMPLETED, FAILED, MAX_ATTEMPTS, QUEUED, RUNNING, Asset, Jobs, New
from kinemark.server.pages import Wanted

VIDEO = Asset("video", "ab" * 32, "video/mp4", 1000)


@pytest.fixture
def jobs(database):
    return Jobs(open_database(database))


def new(owner="me", **changes):
    fields = {"model": "spark", "asked": {"prompt": "a boat"}, "facts": {}, "cost": 4.0, "body_digest": "d"}
    return New(owner, **(fields | changes))


def test_from_asked_to_done(jobs):
    job = jobs.add(new(assets=(Asset("source", "cd" * 32, "video/mp4", 5),)))
    assert (job.status, job.progress, job.attempts, job.worker) == (QUEUED, 0, 0, None)
    held = jobs.claim("one")
    assert (held.id, held.status, held.worker, held.attempts) == (job.id, RUNNING, "one", 1)
    assert held.asked == {"prompt": "a boat"}
    assert jobs.claim("two") is None
    assert jobs.renew(held, 40)
    assert jobs.get(job.id).progress == 40
    assert jobs.complete(held, [VIDEO], {"seed": 7}, 60)
    done = jobs.get(job.id, "me")
    assert (done.status, done.progress, done.facts) == (COMPLETED, 100, {"seed": 7})
    assert done.expires_at == pytest.approx(done.completed_at + 60, abs=0.1)
    assert set(jobs.assets(job.id)) == {"source", "video"}
    assert jobs.counts() == {COMPLETED: 1}
    assert jobs.get(job.id, "another") is None


def test_a_worker_that_died_loses_its_job_and_can_no_longer_change_it(jobs):
    jobs.add(new())
    dead = jobs.claim("dead", lease=-1)
    heir = jobs.claim("heir")
    assert (heir.id, heir.attempts) == (dead.id, 2)
    assert not jobs.renew(dead, 99)
    assert not jobs.complete(dead, [VIDEO], {}, 60)
    assert not jobs.fail(dead, {"code": "x", "message": "y"})
    assert not jobs.give_back(dead)
    assert jobs.get(dead.id).status == RUNNING
    assert not jobs.assets(dead.id)
    assert jobs.complete(heir, [VIDEO], {}, 60)
    assert not jobs.complete(heir, [VIDEO], {}, 60)


def test_what_ends_every_worker_is_given_up(jobs):
    job = jobs.add(new())
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert jobs.claim("w", lease=-1).attempts == attempt
    assert jobs.claim("w") is None
    failed = jobs.get(job.id)
    assert (failed.status, failed.error["code"]) == (FAILED, "worker_lost")


def test_what_is_given_back_is_as_if_it_had_not_been_begun(jobs):
    jobs.add(new())
    for _ in range(2 * MAX_ATTEMPTS):
        held = jobs.claim("w")
        assert held.attempts == 1
        assert jobs.give_back(held)


def test_turns(jobs):
    """Priority, then whoever has the least under way, then whoever waits longest."""
    mine = [jobs.add(new("me")) for _ in range(3)]
    hers = [jobs.add(new("her")) for _ in range(2)]
    urgent = jobs.add(new("me", priority=5))
    order = [jobs.claim("w").id for _ in range(6)]
    assert order[0] == urgent.id
    assert order[1] == hers[0].id  # the urgent one is under way, so that she comes first
    assert order[2:] == [mine[0].id, hers[1].id, mine[1].id, mine[2].id]


def test_only_models_that_a_worker_has(jobs):
    jobs.add(new(model="wan2.1-14b"))
    assert jobs.claim("small", {"spark"}) is None
    assert jobs.claim("large", {"spark", "wan2.1-14b"}).model == "wan2.1-14b"


def test_the_same_name_is_the_same_job(jobs):
    first = jobs.add(new(idempotency="once"))
    assert jobs.add(new(idempotency="once")).id == first.id
    assert jobs.add(new("her", idempotency="once")).id != first.id
    assert jobs.same("me", "d").id == first.id
    assert jobs.same("me", "e") is None
    assert jobs.same("her", "d").owner == "her"


def test_limits(jobs):
    assert jobs.add(new(cost=3.0), limit=5.0)
    assert jobs.add(new(cost=3.0), limit=5.0) is None
    assert jobs.add(new(cost=2.0), limit=5.0, per_day=2)
    assert jobs.add(new(cost=0.0), per_day=2) is None
    assert jobs.add(new("her", cost=0.0), per_day=2)


def test_pages_hold_every_job_once(jobs):
    made = [jobs.add(new()).id for _ in range(7)]
    jobs.add(new("her"))
    for newest_first in (True, False):
        seen, after, more = [], None, True
        while more:
            found, more = jobs.page("me", Wanted(after, 3, newest_first))
            seen += [job.id for job in found]
            after = seen[-1]
        assert seen == (made[::-1] if newest_first else made)
    assert jobs.page("me", Wanted("video_unknown", 3)) == ([], False)
    assert jobs.page("me", Wanted(limit=0)) == ([], True)


def test_a_deletion_leaves_what_others_have(jobs):
    shared = Asset("source", "cd" * 32, "video/mp4", 5)
    first, second = (jobs.add(new(assets=(shared,))) for _ in range(2))
    held = jobs.claim("w")
    jobs.complete(held, [VIDEO], {}, 60)
    assert jobs.delete(first.id, "her") == (False, [])
    assert jobs.delete(first.id, "me") == (True, [VIDEO.digest])
    assert jobs.get(first.id) is None
    assert jobs.delete(first.id, "me") == (False, [])
    running = jobs.claim("w")
    assert jobs.delete(second.id, "me") == (True, [shared.digest])
    assert not jobs.renew(running, 5)
    assert not jobs.complete(running, [VIDEO], {}, 60)


def test_files_expire_and_jobs_stay(jobs):
    job = jobs.add(new())
    jobs.complete(jobs.claim("w"), [VIDEO], {}, -1)
    assert jobs.expire() == [VIDEO.digest]
    assert jobs.expire() == []
    assert jobs.get(job.id).status == COMPLETED
    assert not jobs.assets(job.id)


def test_no_job_goes_to_two_of_many_workers(jobs):
    """Eight threads, forty jobs."""
    ids = {jobs.add(new(f"owner{number % 3}")).id for number in range(40)}
    taken, lock = Counter(), threading.Lock()

    def take(name):
        while (job := jobs.claim(name)) is not None:
            with lock:
                taken[job.id] += 1

    threads = [threading.Thread(target=take, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == Counter(dict.fromkeys(ids, 1))


class Queue(RuleBasedStateMachine):
    """Everything that can happen to jobs in any order: none is lost, none is done twice, and old holders are nobody."""

    held = Bundle("held")

    def __init__(self):
        super().__init__()
        self.jobs = Jobs(open_database(self.url))
        self.states, self.delivered, self.holder = {}, Counter(), {}

    @initialize()
    def empty(self):
        for owner in ("me", "her"):
            for job in self.jobs.page(owner, Wanted(limit=1000))[0]:
                self.jobs.delete(job.id, owner)

    @rule(owner=st.sampled_from(["me", "her"]), priority=st.integers(-1, 1))
    def ask(self, owner, priority):
        self.states[self.jobs.add(new(owner, priority=priority)).id] = (owner, QUEUED)

    @rule(target=held, worker=st.sampled_from(["one", "two"]), dies=st.booleans())
    def claim(self, worker, dies):
        job = self.jobs.claim(worker, lease=-1 if dies else 600)
        for id_, (owner, state) in list(self.states.items()):
            if state == RUNNING and self.jobs.get(id_).status == FAILED:
                self.states[id_] = (owner, FAILED)
                self.holder.pop(id_)
        if job is not None:
            assert self.states[job.id][1] in (QUEUED, RUNNING)
            self.states[job.id] = (job.owner, RUNNING)
            self.holder[job.id] = job
        return job

    def _holds(self, job):
        return job is not None and self.holder.get(job.id) == job

    @rule(job=held, progress=st.integers(0, 99))
    def renew(self, job, progress):
        if job is not None:
            assert self.jobs.renew(job, progress, lease=600) == self._holds(job)

    @rule(job=consumes(held))
    def complete(self, job):
        if job is None:
            return
        holds = self._holds(job)
        assert self.jobs.complete(job, [VIDEO], {}, 60) == holds
        if holds:
            self.delivered[job.id] += 1
            self._over(job, COMPLETED)

    @rule(job=consumes(held))
    def fail(self, job):
        if job is not None and self.jobs.fail(job, {"code": "c", "message": "m"}):
            assert self._holds(job)
            self._over(job, FAILED)

    @rule(job=consumes(held))
    def give_back(self, job):
        if job is not None and self.jobs.give_back(job):
            assert self._holds(job)
            self._over(job, QUEUED)

    @rule(data=st.data())
    def delete(self, data):
        if self.states:
            id_ = data.draw(st.sampled_from(sorted(self.states)))
            owner, _ = self.states.pop(id_)
            assert self.jobs.delete(id_, owner)[0]
            self.holder.pop(id_, None)

    def _over(self, job, state):
        self.states[job.id] = (job.owner, state)
        self.holder.pop(job.id)

    @invariant()
    def all_are_where_they_should_be(self):
        counts = Counter(state for _, state in self.states.values())
        assert self.jobs.counts() == dict(counts)
        assert not self.delivered or max(self.delivered.values()) == 1


def test_whatever_happens_to_the_queue(database):
    machine = type("Case", (Queue,), {"url": database}).TestCase
    machine.settings = settings(
        max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine("runTest").runTest()
