"""The trials of the verbs, with a tiny model: what they measure, and that they go on where they were."""

from dataclasses import replace

import pytest
import torch

from kinemark.errors import RequestError
from kinemark.timeline import Capability
from kinemark.together import Together
from kinemark.training import verbs
from kinemark.training.exam import PLAIN, draw_questions
from kinemark.training.probe import load_probe
from kinemark.training.verbs import TRIALS, Bench, _seam, measure, truth
from tiny_models import tiny_networks


@pytest.fixture(scope="module")
def bench():
    model = tiny_networks(frozenset(Capability))
    sampler = replace(Bench(model, load_probe()).sampler, first_steps=1, steps=1)
    return Bench(model, load_probe(), sampler)


@pytest.fixture
def named(monkeypatch):
    """The tiny model has no file of which a digest could be made."""
    monkeypatch.setattr(verbs, "tensors_digest", lambda _: "0" * 64)


def test_seams_are_measured_against_the_clips_own_change():
    clip = torch.arange(20.0)[:, None, None, None].expand(-1, 3, 8, 8) / 100
    assert _seam(clip, (5, 10)) == pytest.approx(1.0, rel=1e-3)
    jump = clip.clone()
    jump[10:] += 0.02
    assert _seam(jump, (10,)) == pytest.approx(3.0, rel=1e-3)
    assert _seam(jump, (5,)) == pytest.approx(1.0, rel=1e-3)


def test_truth_is_the_scene_in_bytes():
    scene = draw_questions(PLAIN, 1)[0].scene
    frames = truth(scene, [0, 8])
    assert frames.shape == (2, 3, 256, 256)
    assert torch.equal((frames * 255).round() / 255, frames)


@pytest.mark.slow
@pytest.mark.parametrize("verb", [name for name in TRIALS if "minute" not in name and name != "prompts"])
def test_every_trial_gives_its_figures(bench, verb):
    figures = TRIALS[verb](bench, draw_questions(PLAIN, 1)[0])
    assert all(isinstance(value, float) for value in figures.values())
    assert figures.get("pasted", 1.0) == 1.0
    if verb in ("extend", "extend before", "connect"):
        assert {"seam", "kept", "all", "moved", "truth_moved"} <= figures.keys()


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["minute", "prompts"])
def test_a_minute_is_read_at_its_times(bench, verb, monkeypatch):
    monkeypatch.setattr(verbs, "MINUTE", 96)  # twelve seconds are enough to see that it is read
    figures = TRIALS[verb](bench, draw_questions(PLAIN, 1)[0])
    assert "setting_60" in figures
    assert ("right_2" in figures) == (verb == "minute")
    assert ("changed_2" in figures) == (verb == "prompts")


@pytest.mark.usefixtures("named")
def test_trials_are_not_run_twice(bench, tmp_path, monkeypatch):
    asked = []

    def trial(_bench, question):
        asked.append(question.seed)
        return {"seam": 1.0 if len(asked) < 4 else 2.0, "kept": 1.0, "moved": 0.5, "truth_moved": 1.0}

    monkeypatch.setattr(verbs, "TRIALS", {"extend": trial})
    told = []
    first = measure(bench.model, ["extend"], 3, work=tmp_path, bench=bench, progress=lambda *now: told.append(now))
    again = measure(bench.model, ["extend"], 5, work=tmp_path, bench=bench)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(asked) == 5
    assert again["extend"][:3] == first["extend"]
    other = measure(bench.model, ["extend"], 1, work=tmp_path, bench=replace(bench, guidance=1.5))
    assert len(asked) == 6  # what another sampler has made is not taken for its own
    assert len(other["extend"]) == 1


@pytest.mark.usefixtures("named")
def test_processes_share_the_trials_out(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(verbs, "TRIALS", {"extend": lambda _bench, question: {"seed": float(question.seed)}})
    measure(bench.model, ["extend"], 5, work=tmp_path, bench=bench, together=_Alone(1, 2))
    found = measure(bench.model, ["extend"], 5, work=tmp_path, bench=bench, together=_Alone(0, 2))
    assert [trial["seed"] for trial in found["extend"]] == [q.seed for q in draw_questions(PLAIN, 5)]
    with pytest.raises(RequestError, match="--work"):
        measure(bench.model, ["extend"], 5, bench=bench, together=_Alone(0, 2))


class _Alone(Together):
    """One of several processes, of which the others are not waited for."""

    def wait(self):
        pass


def test_a_minute_is_ablated_in_its_sampler_alone(bench, monkeypatch):
    seen = {}

    def minute(bench, _question):
        seen["sampler"] = bench.sampler
        return {}

    monkeypatch.setattr(verbs, "minute", minute)
    question = draw_questions(PLAIN, 1)[0]
    TRIALS["minute without noise"](bench, question)
    assert seen["sampler"] == replace(bench.sampler, history_sigma=0.0)
    TRIALS["minute with a long memory"](bench, question)
    for memory, before in (
        (seen["sampler"].cache, bench.sampler.cache),
        (seen["sampler"].coarse.memory, bench.sampler.coarse.memory),
    ):
        assert (memory.window, memory.sinks) == (8, 1) != (before.window, before.sinks)
        assert memory.place == before.place


def test_drift_is_a_share_of_what_was_there():
    grey = torch.full((2, 3, 4, 4), 0.5)
    red = grey.clone()
    red[:, 1:] = 0.25
    drift = verbs._drift(red, grey)
    assert drift["luminance_drift"] == pytest.approx(0.5)
    assert drift["saturation_drift"] == pytest.approx(1.0)
    assert verbs._drift(red, red) == {"luminance_drift": 0.0, "saturation_drift": 0.0}
