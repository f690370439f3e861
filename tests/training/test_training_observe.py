from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from kinemark.model.autoencoder import unpack
from kinemark.sampling.conditions import Conditions, Use
from kinemark.sampling.streaming import SamplerConfig
from kinemark.training.loop import build_trainee, train
from kinemark.training.observe import SHEET_SCENES, SheetObserver, from_noise, from_small_truth
from kinemark.training.recipes import tiny_recipe
from kinemark.worlds.render import render
from kinemark.worlds.spec import SETTINGS, TIMES, WEATHERS, batch_scenes

QUICK = SheetObserver(from_noise, slots=2, side=16, sampler=SamplerConfig(first_steps=1, steps=1))


def test_the_sheet_shows_every_setting_time_and_weather():
    assert {scene.setting for scene in SHEET_SCENES} == set(SETTINGS)
    assert {scene.time for scene in SHEET_SCENES} == set(TIMES)
    assert {scene.weather for scene in SHEET_SCENES} == set(WEATHERS)


def test_a_run_leaves_a_sheet_and_a_plot(tmp_path):
    train(tiny_recipe(), tmp_path, minutes=0.005, observe=QUICK, log_every=1)
    (sheet,) = tmp_path.glob("sheet_*.png")
    assert np.asarray(Image.open(sheet)).shape[2] == 3
    assert "sigma 0.6-0.8" in (tmp_path / "loss.svg").read_text()


@pytest.mark.parametrize("change", [{}, {"guidance": 1.0}, {"request": from_small_truth}])
def test_the_same_weights_give_the_same_sheet(tmp_path, change):
    trainee = build_trainee(tiny_recipe(), 0)
    sheets = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        replace(QUICK, **change)(trainee, tmp_path / name)
        sheets.append(next((tmp_path / name).glob("*.png")).read_bytes())
    assert sheets[0] == sheets[1]


def test_a_detail_expert_is_handed_the_truth_rendered_small():
    shape = (12, 3, 64, 64)
    conditions = Conditions.from_text(torch.zeros(len(SHEET_SCENES), 16, 128), range(len(SHEET_SCENES)), shape)
    usual = SamplerConfig()
    shown, sampler = from_small_truth(conditions, usual)
    assert sampler == usual.detail_pass()
    assert (shown.cap_F == SamplerConfig().coarse.sigma).all()
    whole = render(batch_scenes(SHEET_SCENES), torch.zeros(len(SHEET_SCENES), 1), (64, 64)).video_BTCHW
    error = unpack(shown.known(range(shown.shape[2])))[:, :1] - whole
    assert error.abs().mean() < 0.05


def test_a_scene_expert_is_handed_noise():
    conditions = Conditions.from_text(torch.zeros(2, 16, 128), range(2), (12, 3, 64, 64))
    usual = SamplerConfig()
    shown, sampler = from_noise(conditions, usual)
    assert sampler == usual.scene_pass()
    assert shown.shape == shown.noise(range(3), Use.START).shape == (2, 12, 3, 32, 32)
    assert (shown.cap_F == 1).all()
