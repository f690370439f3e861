from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from kinemark.sampling.streaming import SamplerConfig
from kinemark.training.loop import build_trainee, train
from kinemark.training.observe import SHEET_SCENES, SheetObserver
from kinemark.training.recipes import tiny_recipe
from kinemark.worlds.spec import SETTINGS, TIMES, WEATHERS

QUICK = SheetObserver(slots=2, side=16, sampler=SamplerConfig(first_steps=1, steps=1))


def test_the_sheet_shows_every_setting_time_and_weather():
    assert {scene.setting for scene in SHEET_SCENES} == set(SETTINGS)
    assert {scene.time for scene in SHEET_SCENES} == set(TIMES)
    assert {scene.weather for scene in SHEET_SCENES} == set(WEATHERS)


def test_a_run_leaves_a_sheet_and_a_plot(tmp_path):
    train(tiny_recipe(), tmp_path, minutes=0.005, observe=QUICK, log_every=1)
    (sheet,) = tmp_path.glob("sheet_*.png")
    assert np.asarray(Image.open(sheet)).shape[2] == 3
    assert "sigma 0.6-0.8" in (tmp_path / "loss.svg").read_text()


@pytest.mark.parametrize("change", [{}, {"guidance": 1.0}])
def test_the_same_weights_give_the_same_sheet(tmp_path, change):
    trainee = build_trainee(tiny_recipe(), 0)
    sheets = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        replace(QUICK, **change)(trainee, tmp_path / name)
        sheets.append(next((tmp_path / name).glob("*.png")).read_bytes())
    assert sheets[0] == sheets[1]
