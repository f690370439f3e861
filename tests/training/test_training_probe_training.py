import random
from dataclasses import replace

import pytest
import torch

from kinemark.training import probe_training
from kinemark.training.probe import PER_SUBJECT, Probe
from kinemark.training.probe_training import (
    Examples,
    Pool,
    draw_scenes,
    main,
    measure,
    mirrored,
    probe_loss,
    render_examples,
    roughen,
    train_probe,
)
from kinemark.worlds.spec import ABSENT, COLUMN, DIRECTIONS, PLAIN_MIX, Scene, Subject, sample_scene

PAIR = Scene(
    "meadow", "noon", "clear", (Subject("car", "red", direction="left"), Subject("bird", "blue", direction="up"))
)
SINGLE = Scene("sea", "dusk", "clear", (Subject("whale", "pink", direction="right"),), time_end="night")


@pytest.fixture(scope="module")
def examples():
    return render_examples([PAIR, SINGLE, SINGLE], [4.0, 4.0, 0.0])


def test_examples_say_what_is_true_and_can_be_seen(examples):
    assert examples.frames_BKCHW.shape == (3, 5, 3, 64, 64)
    assert examples.frames_BKCHW.dtype == torch.uint8
    codes = {name: examples.codes_BA[:, column].tolist() for name, column in COLUMN.items()}
    assert codes["second_subject"][1:] == [ABSENT, ABSENT]
    assert codes["direction"] == [DIRECTIONS.index("left"), DIRECTIONS.index("right"), ABSENT]
    assert codes["time_end"][1] != ABSENT
    assert codes["time_end"][2] == ABSENT
    assert examples.place_BSKX[0].isfinite().all()
    assert not examples.place_BSKX[1, 1].isfinite().any()


def test_the_whale_goes_right(examples):
    assert examples.place_BSKX[1, 0, -1, 0] > examples.place_BSKX[1, 0, 0, 0] + 0.1


def test_a_mirror_swaps_left_and_right_and_nothing_else(examples, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape: torch.zeros(*shape))
    seen = mirrored(examples)
    assert seen.codes_BA[:, COLUMN["direction"]].tolist() == [1, 0, ABSENT]
    same = [column for name, column in COLUMN.items() if name != "direction"]
    assert torch.equal(seen.codes_BA[:, same], examples.codes_BA[:, same])
    assert torch.equal(seen.frames_BKCHW.flip(-1), examples.frames_BKCHW)
    torch.testing.assert_close(seen.place_BSKX[0, 0, :, 0], 1 - examples.place_BSKX[0, 0, :, 0])
    torch.testing.assert_close(seen.place_BSKX[0, 0, :, 1], examples.place_BSKX[0, 0, :, 1])


def test_rough_frames_are_still_recognisable(examples):
    torch.manual_seed(0)
    frames = examples.frames_BKCHW.float() / 255
    rough = roughen(frames)
    assert rough.shape == frames.shape
    assert not torch.equal(rough, frames)
    assert (rough - frames).abs().mean() < 0.1


def test_the_order_of_two_subjects_does_not_matter_to_the_loss(examples):
    torch.manual_seed(0)
    probe = Probe().eval()
    first, second = ([COLUMN[f"{ordinal}{name}"] for name in PER_SUBJECT] for ordinal in ("", "second_"))
    codes_BA = examples.codes_BA.clone()
    codes_BA[:, first], codes_BA[:, second] = examples.codes_BA[:, second], examples.codes_BA[:, first]
    swapped = replace(
        examples, codes_BA=codes_BA, place_BSKX=examples.place_BSKX.flip(1), height_BSK=examples.height_BSK.flip(1)
    )
    losses = []
    for truth in (examples.pick(torch.tensor([0])), swapped.pick(torch.tensor([0]))):
        torch.manual_seed(1)
        losses.append(probe_loss(probe, truth.frames_BKCHW.float() / 255, truth).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_an_attribute_that_cannot_be_seen_costs_nothing(examples):
    torch.manual_seed(0)
    probe, stills = Probe(), examples.pick(torch.tensor([2, 2]))
    probe_loss(probe, stills.frames_BKCHW.float() / 255, stills).backward()
    assert probe.read_moves["direction"].weight.grad.abs().sum() == 0
    assert probe.read_whole["time_end"].weight.grad.abs().sum() == 0
    assert probe.read_whole["setting"].weight.grad.abs().sum() > 0


def test_held_out_compositions_are_shown_too():
    scenes = draw_scenes(random.Random(0), 200)
    assert 20 < sum(scene.is_held_out() for scene in scenes) < 80
    assert 10 < sum(len(scene.subjects) == 2 for scene in scenes) < 60


def test_the_pool_renders_a_share_of_what_is_drawn(monkeypatch):
    monkeypatch.setattr(probe_training, "_USES", 2)
    rendered = []
    monkeypatch.setattr(probe_training, "render_examples", lambda scenes, _: rendered.append(len(scenes)) or _blank(32))
    pool = Pool(random.Random(0), size=32)
    drawn = sum(len(pool.draw(16)) for _ in range(20))
    assert drawn == 320
    assert sum(rendered) == pytest.approx(160, abs=32)


def test_a_probe_learns_what_it_is_shown(examples):
    torch.manual_seed(0)
    probe = Probe()
    optimiser = torch.optim.AdamW(probe.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        loss = probe_loss(probe, examples.frames_BKCHW.float() / 255, examples)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_measure_counts_every_attribute_that_a_scene_has():
    shares = measure(Probe().eval(), [PAIR, SINGLE, sample_scene(random.Random(0), PLAIN_MIX)])
    assert shares["setting"].n == 3
    assert shares["second_colour"].n == 1
    assert shares["count"].n == 3


@pytest.mark.slow
def test_the_recipe_is_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(probe_training, "_POOL", 16)
    monkeypatch.setattr(probe_training, "measure_ceilings", lambda _: {"setting": 0.5})
    main(["--minutes", "0.02", "--out", str(tmp_path / "p.safetensors")])
    assert (tmp_path / "p.safetensors").is_file()
    assert "too low to be reported" in capsys.readouterr().out


def test_training_reports_and_ends(monkeypatch):
    monkeypatch.setattr(probe_training, "_POOL", 16)
    lines = []
    assert isinstance(train_probe(0.005, report=lines.append), Probe)
    assert lines[0].startswith("step 0")


def test_training_goes_on_from_a_probe(monkeypatch):
    monkeypatch.setattr(probe_training, "_POOL", 16)
    begin = Probe().eval()
    before = begin.read_whole["setting"].weight.detach().clone()
    trained = train_probe(0.002, report=lambda _: None, begin=begin)
    assert trained is begin
    assert not trained.training
    change = (trained.read_whole["setting"].weight - before).abs().max()
    assert 0 < change < 0.02


def _blank(count):
    return Examples(
        torch.zeros(count, 5, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(count, len(COLUMN), dtype=torch.int64),
        torch.zeros(count, 2, 5, 2),
        torch.zeros(count, 2, 5),
        torch.zeros(count),
    )
