"""What is foretold without data is what is measured with it."""

from dataclasses import replace

import pytest
import torch

from kinemark.sampling.conditions import Conditions
from kinemark.sampling.methods import METHODS
from kinemark.sampling.streaming import sample_streaming, with_steps
from kinemark.timeline import Timeline
from kinemark.wan.estimate import estimate
from kinemark.wan.memory import Living, living
from kinemark.wan.releases import RELEASES
from tiny_wan import CONFIG, tiny_release
from wan_like import randomised


def test_views_count_once_and_what_is_gone_does_not():
    with Living() as mode:
        first = torch.zeros(1000)
        views = [first.view(10, 100), first[5:]]
        assert mode.alive == 4000
        second = first + 1
        assert mode.alive == 8000
        del first, views
        assert mode.alive == 4000
        del second
    assert (mode.alive, mode.peak) == (0, 8000)


def test_products_are_counted():
    left, right = torch.zeros(20, 30), torch.zeros(30, 40)
    assert living(lambda: left @ right) == (4 * 20 * 40, 2 * 20 * 30 * 40)


@pytest.mark.parametrize(("method", "slots"), [("wan-480p", 7), ("self-forcing", 30)])
@torch.no_grad()
def test_memory_of_a_step_is_within_a_tenth(method, slots):
    config = replace(CONFIG, width=768, ffn=3072, text_len=16, block_slots=METHODS[method].block_slots)
    release = tiny_release(config, method, guidance=(1.0,))
    sampler = with_steps(METHODS[method], 4)
    timeline = Timeline.from_text("a boat", num_frames=4 * slots - 3, fps=16, size=(128, 192))
    foretold = estimate(release, timeline, sampler, here=True)
    model = randomised(config).in_fast_precision()
    conditions = Conditions.from_text(torch.randn(1, 16, 8), [1], (16, slots, 16, 24))
    measured, _ = living(lambda: sample_streaming(model, conditions, sampler), model.parameters())
    kept = 2 * conditions.noise(range(slots), 0).nbytes  # the clip's latents themselves
    assert foretold.step == pytest.approx(measured - kept, rel=0.1)


def test_published_models_are_foretold_without_their_weights():
    release = RELEASES["wan2.1-1.3b"]
    timeline = Timeline.from_text("a boat", num_frames=81, fps=16, size=(480, 832))
    told = estimate(release, timeline, METHODS[release.method], here=False)
    assert told.flop / 100 == pytest.approx(2.83e14, rel=0.01)  # a hundred forwards: 50 steps, guided
    assert told.memory > told.weights + told.step
    assert "a pull of about 14 GB" in str(told)
    assert "a pull" not in str(replace(told, download=0))
    fewer = estimate(release, timeline, with_steps(METHODS[release.method], 25), here=True)
    assert fewer.flop == pytest.approx(told.flop / 2)
