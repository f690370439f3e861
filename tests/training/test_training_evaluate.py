import json
from dataclasses import replace

import pytest
import torch
from einops import rearrange

from kinemark.errors import FailureError, RequestError
from kinemark.model.autoencoder import unpack
from kinemark.model.planner import LayoutPlanner, PlannerConfig
from kinemark.model.text import TextConfig, TextEncoder
from kinemark.model.tokenizer import load_vocabulary
from kinemark.model.transformer import Transformer
from kinemark.sampling.streaming import SamplerConfig
from kinemark.together import Together
from kinemark.training.evaluate import (
    Evaluation,
    TextToLatent,
    examine,
    quick_evaluate,
    reference_thumbnails,
)
from kinemark.training.exam import HELD_OUT, PLAIN, SIX, WIDE, draw_questions
from kinemark.training.probe import Probe, in_order, load_probe
from kinemark.training.probe_training import render_examples
from kinemark.training.recipes import tiny_recipe
from kinemark.training.summary import RATIOS, ClipRecord, summarise
from kinemark.worlds.render import render
from kinemark.worlds.spec import batch_scenes
from pairs import run_pair

SMALL = Evaluation(n=6, held_out=2, wide=2, frames=9, batch=4, reference_clips=4)


class Oracle:
    """Makes exactly what is asked, for the questions that it knows; counts how often it is asked."""

    def __init__(self, plan=SMALL):
        groups = ((PLAIN, plan.n), (HELD_OUT, plan.held_out), (WIDE, plan.wide))
        self.scenes = {q.prompt: q.scene for group, n in groups for q in draw_questions(group, n, plan.seed)}
        self.asked = 0

    def __call__(self, prompts, seeds, frames):
        self.asked += 1
        assert len(seeds) == len(prompts)
        batch = batch_scenes([self.scenes[prompt] for prompt in prompts])
        video = render(batch, (torch.arange(frames) / 8).expand(len(batch), -1), (64, 64)).video_BTCHW
        return pack(video)


def pack(video):
    four = torch.cat([video[:, :1].expand(-1, 4, -1, -1, -1), video[:, 1:]], dim=1)
    return rearrange(four, "B (F t) C H W -> B (t C) F H W", t=4) * 2 - 1


@pytest.fixture(scope="module")
def untrained():
    return untrained_probe()


def untrained_probe():
    torch.manual_seed(0)
    probe = Probe().eval()
    probe.ceilings = dict.fromkeys(SIX, 1.0)
    return probe


@pytest.fixture(scope="module")
def report(untrained):
    return examine(
        Oracle(), untrained, SMALL, decode=lambda z: unpack(z).repeat_interleave(4, 3).repeat_interleave(4, 4)
    )


def test_truth_against_itself_is_one(report):
    assert set(report.ratios) == set(RATIOS)
    for name, ratio in report.ratios.items():
        assert ratio == pytest.approx(1, abs=1e-3), name


def test_truth_is_read_as_truth_is(report):
    assert report.adherence == report.truth
    assert (report.n, report.held_out["all"].n, report.facts["frames"]) == (6, 2, 9)


def test_a_decoder_that_only_enlarges_changes_nothing(report):
    assert report.decoded["decoded"] == report.decoded["latent"]
    assert report.decoded["decoded"].n == 6


def test_the_sheet_shows_the_first_clips(report):
    assert report.sheet_prompts == tuple(q.prompt for q in draw_questions(PLAIN, 6))
    assert report.sheet_BTCHW.shape == (6, 2, 3, 64, 64)  # frames 0 and 8 of nine
    truth = render(batch_scenes([q.scene for q in draw_questions(PLAIN, 6)]), torch.tensor([[1.0]] * 6), (64, 64))
    expected = (truth.video_BTCHW[:, 0] * 255).round()
    assert (report.sheet_BTCHW[:, 1].float() - expected).abs().max() <= 1


def test_a_frozen_clip_does_not_move(untrained):
    oracle = Oracle()

    def frozen(prompts, seeds, frames):
        return oracle(prompts, seeds, frames)[:, :, :1].expand(-1, -1, 3, -1, -1)

    ratios = examine(frozen, untrained, SMALL).ratios
    assert ratios["motion_energy"] == pytest.approx(0, abs=1e-6)
    assert ratios["flicker"] == pytest.approx(0, abs=1e-6)


def test_an_interrupted_evaluation_goes_on_where_it_was(untrained, tmp_path):
    oracle, seen = Oracle(), []

    def interrupt(done, total):
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(oracle, untrained, SMALL, work=tmp_path, progress=interrupt)
    assert (oracle.asked, seen[-1]) == (2, (2, 4))
    resumed = examine(oracle, untrained, SMALL, work=tmp_path)
    assert oracle.asked == 4
    whole = examine(Oracle(), untrained, SMALL)
    assert resumed.adherence == whole.adherence
    assert resumed.ratios == whole.ratios
    assert torch.equal(resumed.sheet_BTCHW, whole.sheet_BTCHW)


def _examine(together, folder):
    oracle = Oracle()
    report = examine(oracle, untrained_probe(), SMALL, work=folder / "work", together=together)
    return {"asked": oracle.asked, "said": json.dumps(report.to_dict()["adherence"])}


def test_two_processes_share_the_batches_and_agree(untrained, tmp_path):
    first, second = run_pair(_examine, tmp_path)
    assert (first["asked"], second["asked"]) == (2, 2)
    assert first["said"] == second["said"] == json.dumps(examine(Oracle(), untrained, SMALL).to_dict()["adherence"])


def test_processes_without_a_common_folder_are_told_so(untrained):
    with pytest.raises(RequestError, match="--work"):
        examine(Oracle(), untrained, SMALL, together=Together(rank=1, count=2))


def test_other_settings_do_not_find_the_batches_of_these(untrained, tmp_path):
    oracle = Oracle()
    examine(oracle, untrained, SMALL, work=tmp_path, facts={"steps": 4})
    examine(oracle, untrained, SMALL, work=tmp_path, facts={"steps": 5})
    assert oracle.asked == 8


def test_a_poor_probe_is_refused_before_anything_is_made():
    oracle, probe = Oracle(), Probe()
    probe.ceilings = dict.fromkeys(SIX, 1.0) | {"weather": 0.98}
    with pytest.raises(FailureError, match=r"weather 98.00%"):
        examine(oracle, probe, SMALL)
    assert oracle.asked == 0


def test_reference_clips_are_fixed_and_all_different():
    thumbnails = reference_thumbnails(SMALL)
    assert thumbnails.shape == (4, 3 * 3 * 16 * 16)
    assert torch.equal(thumbnails, reference_thumbnails(SMALL))
    assert torch.pdist(thumbnails).min() > 0


def test_quick_evaluation_of_truth(untrained):
    figures = quick_evaluate(Oracle(), untrained, n=6, frames=9)
    assert set(figures) == {*SIX, "all", "n", "motion_energy_ratio"}
    assert figures["motion_energy_ratio"] == pytest.approx(1, abs=1e-3)
    assert figures["n"] == 6


def test_single_frames_have_no_direction_and_a_spent_budget_ends_it(untrained):
    figures = quick_evaluate(Oracle(replace(SMALL, n=40)), untrained, n=40, frames=1, budget=0.0)
    assert set(figures) == {*SIX, "all", "n"} - {"direction"}
    assert figures["n"] == 16


@pytest.fixture(scope="module")
def tiny_sampler():
    torch.manual_seed(0)
    config = tiny_recipe().config
    planner = LayoutPlanner(PlannerConfig(width=16, layers=1))
    text = TextEncoder(TextConfig(vocabulary=len(load_vocabulary())))
    return TextToLatent(
        *(Transformer(config).eval() for _ in range(2)),
        planner.eval(),
        text.eval(),
        SamplerConfig(first_steps=2, steps=1),
        2.0,
    )


def test_a_model_makes_latents_long_enough(tiny_sampler):
    latent = tiny_sampler(["a red car", "a dog"], [1, 2], 6)
    assert latent.shape == (2, 12, 3, 64, 64)
    assert latent.isfinite().all()


def test_a_clip_does_not_depend_on_its_batch(tiny_sampler):
    together = tiny_sampler(["a red car", "a dog"], [1, 2], 5)
    torch.testing.assert_close(together[1:], tiny_sampler(["a dog"], [2], 5), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_probe_that_ships_reads_truth_and_falls_to_chance_on_shuffled_prompts():
    probe, questions = load_probe(), draw_questions(PLAIN, 100, seed=7)
    truth = render_examples([q.scene for q in questions], [4.0] * len(questions))
    readings = probe.read_frames(truth.frames_BKCHW.float() / 255, truth.seconds_B)
    ones = dict.fromkeys(RATIOS, 1.0)
    records = [
        ClipRecord("plain", q.said, in_order(read, q.said), read, ones, ones)
        for q, read in zip(questions, readings, strict=True)
    ]
    report = summarise(records, probe.ceilings)
    assert all(share.rate >= 0.97 for share in report.adherence.values())
    assert report.shuffled["all"].hits <= 1
    for name in SIX:
        low, high = report.shuffled[name].interval_at(0.9999)
        assert low <= report.chance[name] <= high
        assert report.shuffled[name].rate < 0.5
