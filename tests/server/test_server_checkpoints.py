"""A long clip goes on where the worker before left it, and is the one that would have been made anyway."""

from collections import Counter

import pytest
from live import MODEL, service_of

from kinemark.generate import begin
from kinemark.provenance.records.ledger import Ledger
from kinemark.sampling import streaming
from kinemark.sampling.solvers import integrate
from kinemark.server.asks import Generate
from kinemark.server.checkpoints import SAFETENSORS, Checkpoints
from kinemark.server.jobs import BLOCKS, COMPLETED, QUEUED, Asset, New, piece_role
from kinemark.server.store import open_store
from kinemark.server.worker import Worker
from kinemark.settings import Settings
from kinemark.timeline import Timeline

PROMPT = "a red boat drifts across the sea"


class Held:
    """Blocks in memory."""

    def __init__(self, kept=None):
        self.kept, self.new = dict(kept or {}), {}

    def take(self, key):
        return self.kept.pop(key, None)

    def keep(self, key, latent_BCFHW):
        assert key not in self.new, "two blocks have one name"
        self.new[key] = latent_BCFHW.clone()


def made(request, finished):
    steps = Counter()

    def count(stage, step, total, preview=None):
        steps[stage] += 1
        steps["last"], steps["total"] = step, total

    clip = begin(request, model=MODEL, seed=3, seconds=2, size="128x128", progress=count, finished=finished).clip()
    return clip, steps


def joined():
    """What leads from one clip to another, and so is made from two sides that meet."""
    clip = begin(PROMPT, model=MODEL, seed=1, seconds=1, size="128x128").clip()
    from torch import from_numpy

    video_TCHW = from_numpy(clip.frames_THWC).permute(0, 3, 1, 2).float() / 255
    return Timeline.connect(video_TCHW, video_TCHW.flip(3), PROMPT, then=PROMPT, gap=16, fps=clip.fps)


@pytest.mark.parametrize("ask", [lambda: PROMPT, joined], ids=["text", "connection"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_what_was_finished_is_not_made_again_and_the_clip_is_the_same(ask, share):
    request, everything = ask(), Held()
    whole, steps = made(request, everything)
    kept = dict(list(everything.new.items())[: round(share * len(everything.new))])
    again = Held(kept)
    clip, counted = made(request, again)
    assert (clip.frames_THWC == whole.frames_THWC).all()
    assert set(again.new) == set(everything.new) - set(kept)
    # Some that were finished are not even asked for: a coarse one is of use to nobody once the fine ones are there.
    assert counted["last"] <= counted["total"] == steps["total"]
    assert counted["sample"] <= steps["sample"] - (share > 0)


def checkpoints(folder, store, assets=(), made_by="these weights", every=0.0):
    entered = []

    def enter(role, path, media_type):
        digest, size = store.put(path)
        entered.append(Asset(role, digest, media_type, size))

    folder.mkdir(exist_ok=True)
    return Checkpoints({one.role: one for one in assets}, store, folder, made_by, enter, every), entered


def test_files_give_what_they_were_given(tmp_path):
    store, latents = open_store(tmp_path / "files"), begin_latents()
    writing, entered = checkpoints(tmp_path / "one", store)
    for key, latent in latents.items():
        writing.keep(key, latent)
    assert [one.role for one in entered] == [piece_role(BLOCKS, number) for number in range(len(latents))]
    assert {one.media_type for one in entered} == {SAFETENSORS}
    reading, more = checkpoints(tmp_path / "two", store, entered)
    for key, latent in latents.items():
        kept = reading.take(key)
        assert kept.dtype == latent.dtype
        assert (kept == latent).all()
        assert reading.take(key) is None
    reading.keep((9,), latents[0, 0])
    assert more[0].role == piece_role(BLOCKS, len(latents))  # none is entered twice


def begin_latents():
    import torch

    return {(0, number): torch.randn(1, 4, 1, 8, 8).to(kind) for number, kind in enumerate((torch.float32,) * 2)}


def test_nothing_is_written_before_there_is_something_to_lose(tmp_path):
    writing, entered = checkpoints(tmp_path / "one", open_store(tmp_path / "files"), every=3600)
    for key, latent in begin_latents().items():
        writing.keep(key, latent)
    assert not entered


@pytest.mark.parametrize("harm", ["other weights", "lost", "damaged"])
def test_files_that_cannot_be_used_cost_work_and_nothing_else(harm, tmp_path):
    store = open_store(tmp_path / "files")
    writing, entered = checkpoints(tmp_path / "one", store)
    (key, latent), *_ = begin_latents().items()
    writing.keep(key, latent)
    by = "these weights"
    if harm == "other weights":
        by = harm
    elif harm == "lost":
        store.delete(entered[0].digest)
    else:
        (tmp_path / "broken").write_bytes(b"no tensors")
        digest, size = store.put(tmp_path / "broken")
        entered = [Asset(entered[0].role, digest, SAFETENSORS, size)]
    reading, more = checkpoints(tmp_path / "two", store, entered, by)
    assert reading.take(key) is None
    reading.keep(key, latent)
    assert more[0].role == piece_role(BLOCKS, 1)


def test_a_worker_goes_on_where_another_stopped(database, tmp_path, monkeypatch):
    """A worker that is told to stop in the middle, another after it; beside them one that is left alone."""
    service = service_of(Settings(home=tmp_path / "home"), database, tmp_path / "files")
    asked = Generate(prompt=PROMPT, size=(128, 128), seconds=3.0, seed=5).model_dump(mode="json")
    interrupted, whole = (
        service.jobs.add(New("me", "tiny", asked, {"seconds": 3.0}, 3.0, str(number))).id for number in range(2)
    )
    solved = Counter()

    def work(name, stop_at=None):
        worker = Worker(service.jobs, service.store, service.settings, name=name, checkpoint=0.0)

        def counted(*arguments):
            solved[name] += 1
            if solved[name] == stop_at:
                worker.stop.set()
            return integrate(*arguments)

        monkeypatch.setattr(streaming, "integrate", counted)
        assert worker.work()

    work("first", stop_at=6)
    assert service.jobs.get(interrupted).status == QUEUED
    held = [role for role in service.jobs.assets(interrupted) if role.startswith(BLOCKS)]
    assert len(held) == 5
    for name, id_ in (("second", interrupted), ("alone", whole)):
        work(name)
        assert service.jobs.get(id_).status == COMPLETED
        assert not [role for role in service.jobs.assets(id_) if role.startswith(BLOCKS)]
    assert solved["second"] == solved["alone"] - len(held)
    with Ledger.open(service.settings.ledger_path) as ledger:
        made = [ledger.find(service.jobs.get(id_).facts["credential"]["id"]) for id_ in (interrupted, whole)]
    assert made[0].body["frames_digest"] == made[1].body["frames_digest"]
