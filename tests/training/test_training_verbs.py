"""The trials of the verbs, with a tiny model: what they measure, and that they go on where they were."""

from dataclasses import replace

import pytest
import torch

from kinemark.timeline import Capability
from kinemark.training import verbs
from kinemark.training.exam import PLAIN, draw_questions
from kinemark.training.probe import load_probe
from kinemark.training.verbs import TRIALS, Bench, _seam, measure, told, truth
from tiny_models import tiny_model


@pytest.fixture(scope="module")
def bench():
    tiny = tiny_model()
    model = replace(tiny, config=replace(tiny.config, capabilities=frozenset(Capability)))
    sampler = replace(Bench(model, load_probe()).sampler, first_steps=1, steps=1)
    return Bench(model, load_probe(), sampler)


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
@pytest.mark.parametrize("verb", [name for name in TRIALS if name not in ("minute", "prompts")])
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


def test_trials_are_not_run_twice(bench, tmp_path, monkeypatch):
    asked = []

    def trial(_bench, question):
        asked.append(question.seed)
        return {"seam": 1.0 if len(asked) < 4 else 2.0, "kept": 1.0, "moved": 0.5, "truth_moved": 1.0}

    monkeypatch.setattr(verbs, "TRIALS", {"extend": trial})
    first = measure(bench.model, ["extend"], 3, work=tmp_path, bench=bench, report=lambda _: None)
    again = measure(bench.model, ["extend"], 5, work=tmp_path, bench=bench, report=lambda _: None)
    assert len(asked) == 5
    assert again["extend"][:3] == first["extend"]
    lines = told(again)
    assert lines[0] == "extend (n = 5)"
    assert any("within 0 to 1.5: 60.0%" in line for line in lines)
    assert any("motion           0.50 of truth's" in line for line in lines)
