import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from kinemark.data import manifest
from kinemark.errors import FailureError, RequestError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig, encode
from kinemark.training.degrade import SyntheticFlaws
from kinemark.training.upsampler import (
    Pool,
    UpsamplerRecipe,
    UpsamplerRun,
    build_pool,
    draw_crops,
    measure,
    reconstruction_loss,
    train_upsampler,
)

TINY = UpsamplerRecipe(config=UpsamplerConfig(width=8, blocks=1), size=24, clips=3, crops=4, crop=16, pool_steps=2)


def random_clip(frames=5, side=32, batch=1, seed=0):
    return torch.rand(batch, frames, 3, side, side, generator=torch.Generator().manual_seed(seed))


def keep(latent, scenes, generator):
    """A `Degrade` that changes nothing."""
    return latent


def blank(latent, scenes, generator):
    """A `Degrade` that leaves nothing."""
    return torch.zeros_like(latent)


@pytest.fixture(autouse=True)
def fitting_manifest(tmp_path, monkeypatch):
    """Training asks for a manifest that fits the worlds as they are; `tests/data` checks the one that ships."""
    path = manifest.write_manifest(tmp_path / "manifest.json")
    monkeypatch.setattr(manifest, "manifest_path", lambda: path)
    return path


def test_a_pool_holds_whole_clips_and_their_latents():
    pool = build_pool(TINY, keep, seed=0, number=0)
    assert pool.video_BTCHW.shape == (3, 5, 3, 96, 96)
    torch.testing.assert_close(encode(pool.video_BTCHW), pool.exact_BCFHW)
    assert torch.equal(pool.flawed_BCFHW, pool.exact_BCFHW)
    assert len(pool.focus) == 3


def test_a_pool_is_a_pure_function_of_seed_and_number():
    first, again, other = (build_pool(TINY, SyntheticFlaws(), 3, number) for number in (5, 5, 6))
    assert torch.equal(first.flawed_BCFHW, again.flawed_BCFHW)
    assert torch.equal(first.video_BTCHW, again.video_BTCHW)
    assert not torch.equal(first.video_BTCHW, other.video_BTCHW)


def test_degrading_sees_whole_pictures_and_their_scenes():
    seen = []

    def look(latent, scenes, generator):
        seen.append((latent.shape, len(scenes), generator.device.type))
        return latent

    build_pool(TINY, look, seed=0, number=0)
    assert seen == [((3, 12, 2, 24, 24), 3, "cpu")]


def test_crops_are_pairs_of_a_latent_and_its_truth():
    crops = draw_crops(TINY, build_pool(TINY, keep, 0, 0), seed=0, step=0)
    assert crops.latent_BCFHW.shape == (4, 12, 2, 16, 16)
    assert crops.video_BTCHW.shape == (4, 5, 3, 64, 64)
    torch.testing.assert_close(encode(crops.video_BTCHW), crops.latent_BCFHW)


def test_every_step_cuts_other_crops_and_the_same_ones_again():
    pool = build_pool(TINY, keep, 0, 0)
    first, again, other = (draw_crops(TINY, pool, seed=0, step=step) for step in (7, 7, 8))
    assert torch.equal(first.video_BTCHW, again.video_BTCHW)
    assert not torch.equal(first.video_BTCHW, other.video_BTCHW)


def test_the_asked_share_of_crops_is_degraded_and_truth_never_is():
    pool = build_pool(TINY, blank, 0, 0)
    for share, zeros in ((0.0, False), (1.0, True)):
        crops = draw_crops(replace(TINY, degraded=share), pool, seed=0, step=0)
        assert (not crops.latent_BCFHW.any()) == zeros
        assert crops.video_BTCHW.std() > 0


def test_crops_lie_on_the_grid_of_patches_around_the_subject():
    x_BCFHW = torch.arange(24.0).expand(1, 12, 2, 24, 24)
    video = torch.zeros(1, 5, 3, 96, 96)
    for focus, allowed in (((0.0, 0.5), {0.0, 8.0}), ((1.0, 0.5), {0.0, 8.0}), ((math.nan, math.nan), {0.0, 8.0})):
        pool = Pool(x_BCFHW, x_BCFHW, video, (focus,))
        lefts = [
            draw_crops(replace(TINY, clips=1), pool, seed=0, step=step).latent_BCFHW[:, 0, 0, 0, 0] for step in range(8)
        ]
        assert set(torch.cat(lefts).tolist()) == allowed
    # Half of the crops are put where the subject is, the others anywhere: three quarters lie at its side.
    pool = Pool(x_BCFHW, x_BCFHW, video, ((1.0, 0.5),))
    lefts = [
        draw_crops(replace(TINY, clips=1), pool, seed=0, step=step).latent_BCFHW[:, 0, 0, 0, 0] for step in range(50)
    ]
    assert 5 < torch.cat(lefts).mean() < 7


def test_loss_terms_see_what_they_are_for():
    recipe, truth = UpsamplerRecipe(), random_clip(side=8)
    perfect = reconstruction_loss(recipe, truth, truth)
    assert perfect["edge"] == perfect["temporal"] == 0
    assert perfect["pixel"] == pytest.approx(1e-3)
    brighter = reconstruction_loss(recipe, truth + 0.1, truth)
    assert brighter["pixel"] == pytest.approx(0.1, abs=1e-3)
    assert brighter["edge"] == pytest.approx(0, abs=1e-6)
    assert brighter["temporal"] == pytest.approx(0, abs=1e-6)
    blinking = truth + 0.1 * torch.tensor([1, -1, 1, -1, 1]).view(1, 5, 1, 1, 1)
    assert reconstruction_loss(recipe, blinking, truth)["temporal"] == pytest.approx(0.2, abs=1e-4)


def test_a_tenth_of_the_loss_is_on_temporal_differences():
    recipe = UpsamplerRecipe()
    assert recipe.temporal == pytest.approx(0.1)
    assert recipe.pixel + recipe.edge + recipe.temporal == pytest.approx(1)
    terms = reconstruction_loss(recipe, random_clip(seed=1), random_clip(seed=2))
    weighted = sum(getattr(recipe, name) * terms[name] for name in ("pixel", "edge", "temporal"))
    torch.testing.assert_close(terms["loss"], weighted)


def test_quality_of_a_perfect_clip():
    truth = random_clip()
    quality = measure(truth, truth)
    assert quality.psnr == quality.consistency == 120
    assert quality.sharpness == 1
    assert quality.flicker == 0


def test_quality_tells_blur_noise_and_flicker_apart():
    truth = random_clip()
    blurred = torch.nn.functional.avg_pool3d(truth.transpose(1, 2), (1, 3, 3), 1, (0, 1, 1)).transpose(1, 2)
    assert measure(blurred, truth).sharpness < 0.6
    assert measure(truth + 0.1, truth).psnr == pytest.approx(20, abs=1e-3)
    assert measure(truth + 0.1, truth).consistency == pytest.approx(20, abs=1e-3)
    blinking = truth + 0.1 * torch.tensor([1, -1, 1, -1, 1]).view(1, 5, 1, 1, 1)
    assert measure(blinking, truth).flicker == pytest.approx(0.2 * 255, rel=1e-3)
    assert measure(truth[:, :1] + 0.1, truth[:, :1]).flicker == 0


@pytest.mark.slow
def test_learning_lowers_the_loss():
    run = UpsamplerRun(replace(TINY, lr=5e-3, kept=0.0), seed=0)
    run.progress.begin_cycle(1000)
    crops = draw_crops(TINY, build_pool(TINY, keep, 0, 0), seed=0, step=0)

    def loss():
        with torch.no_grad():
            return reconstruction_loss(TINY, run.upsampler(crops.latent_BCFHW), crops.video_BTCHW)["loss"].item()

    before = loss()
    run.progress.cycle_step = -100  # warmed up
    for _ in range(40):
        run.progress.step = 0  # the same crops, over and over
        run.step(keep)
    assert loss() < 0.95 * before


@pytest.mark.slow
def test_a_resumed_run_does_what_an_unbroken_one_does(tmp_path):
    def fresh():
        run = UpsamplerRun(TINY, seed=1)
        run.progress.begin_cycle(1000)
        return run

    unbroken, first, resumed = fresh(), fresh(), fresh()
    for _ in range(4):
        unbroken.step(SyntheticFlaws())
    for _ in range(2):
        first.step(SyntheticFlaws())
    first.save(tmp_path / "run.state.pt")
    resumed.load(tmp_path / "run.state.pt")
    for _ in range(2):
        resumed.step(SyntheticFlaws())
    assert resumed.progress == unbroken.progress
    for name, value in unbroken.upsampler.state_dict().items():
        assert torch.equal(resumed.upsampler.state_dict()[name], value), name
    for name, value in unbroken.averaged().state_dict().items():
        assert torch.equal(resumed.averaged().state_dict()[name], value), name


def test_training_writes_weights_state_and_log(tmp_path):
    out = tmp_path / "run" / "upsampler.safetensors"
    upsampler = train_upsampler(0.01, out, recipe=TINY, log_every=1)
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "upsampler.jsonl",
        "upsampler.safetensors",
        "upsampler.state.pt",
    ]
    weights = load_file(out)
    assert {value.dtype for value in weights.values()} == {torch.float32}
    loaded = Upsampler(TINY.config)
    loaded.load_state_dict(weights)
    latent = torch.rand(1, 12, 2, 8, 8)
    assert torch.equal(loaded.decode(latent), upsampler.decode(latent))
    with safe_open(out, "pt") as file:
        facts = file.metadata()
    assert UpsamplerConfig(**json.loads(facts["config"])) == TINY.config
    assert facts["data"] == manifest.current_manifest().sources[0].generator_sha256
    lines = [json.loads(line) for line in (out.parent / "upsampler.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert {"loss", "pixel", "edge", "temporal", "lr_factor", "minutes"} <= set(lines[0])


def test_a_finished_run_goes_on_with_a_warm_restart(tmp_path):
    out = tmp_path / "upsampler.safetensors"
    train_upsampler(0.002, out, recipe=TINY, log_every=1)
    steps = len((tmp_path / "upsampler.jsonl").read_text().splitlines())
    train_upsampler(0.002, out, recipe=TINY, log_every=1)
    lines = [json.loads(line) for line in (tmp_path / "upsampler.jsonl").read_text().splitlines()]
    assert lines[steps]["step"] == steps + 1
    assert lines[steps]["lr_factor"] < 0.1


def test_training_can_start_from_given_weights(tmp_path):
    start = {name: torch.full_like(value, 0.01) for name, value in Upsampler(TINY.config).state_dict().items()}
    trained = train_upsampler(0.0001, tmp_path / "upsampler.safetensors", recipe=TINY, start=start)
    difference = max((trained.state_dict()[name] - value).abs().max().item() for name, value in start.items())
    assert difference < 0.01


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_absurd_minutes_are_refused(tmp_path, minutes):
    with pytest.raises(RequestError, match="minutes"):
        train_upsampler(minutes, tmp_path / "upsampler.safetensors", recipe=TINY)
    assert not list(tmp_path.glob("upsampler*"))


def test_training_refuses_to_start_without_a_manifest(tmp_path, fitting_manifest):
    fitting_manifest.unlink()
    with pytest.raises(FailureError, match="training needs one"):
        train_upsampler(1, tmp_path / "upsampler.safetensors", recipe=TINY)
    assert not list(tmp_path.glob("upsampler*"))


@pytest.mark.parametrize("damage", ["truncated", "other size"])
def test_a_state_that_does_not_fit_is_explained(tmp_path, damage):
    path = tmp_path / "upsampler.state.pt"
    UpsamplerRun(replace(TINY, config=UpsamplerConfig(width=16, blocks=1)), seed=0).save(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FailureError, match=r"upsampler\.state\.pt.*move it away"):
        train_upsampler(1, tmp_path / "upsampler.safetensors", recipe=TINY)


def test_in_some_steps_the_first_frame_is_given():
    recipe = replace(TINY, kept=0.5)
    pool = build_pool(recipe, keep, 0, 0)
    kept = [draw_crops(recipe, pool, 0, step).kept for step in range(60)]
    assert 15 < sum(kept) < 45
    assert kept == [draw_crops(recipe, pool, 0, step).kept for step in range(60)]
    assert not any(draw_crops(replace(recipe, kept=0.0), pool, 0, step).kept for step in range(20))
