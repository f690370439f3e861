import json
from dataclasses import replace

import pytest
import torch

from kinemark.errors import FailureError, RequestError
from kinemark.training.loop import LOG_FILE, STATE_FILE, Start, _Window, build_trainee, train, training_step
from kinemark.training.recipes import tiny_recipe
from kinemark.training.state import Progress
from kinemark.training.stream import build_pool, draw_batch, step_generator

CPU = torch.device("cpu")


def run_steps(trainee, count):
    recipe = tiny_recipe()
    pool = build_pool(recipe.pool_size, 0, CPU)
    window = _Window()
    for _ in range(count):
        step = trainee.progress.step
        generator = step_generator(0, step, CPU)
        batch = draw_batch(recipe, pool, 0, step, generator)
        training_step(trainee, recipe, batch, generator, 1.0, window)
        trainee.progress.step += 1
    return window


def test_a_resumed_run_is_the_uninterrupted_run(tmp_path):
    whole = build_trainee(tiny_recipe(), 0)
    run_steps(whole, 6)
    first = build_trainee(tiny_recipe(), 0)
    run_steps(first, 3)
    first.save(tmp_path / STATE_FILE)
    second = build_trainee(tiny_recipe(), 1)
    second.load(tmp_path / STATE_FILE)
    run_steps(second, 3)
    for name, value in whole.transformer.state_dict().items():
        torch.testing.assert_close(second.transformer.state_dict()[name], value, msg=name)
    for name, value in whole.ema.values.items():
        torch.testing.assert_close(second.ema.values[name], value, msg=name)


@pytest.mark.slow
def test_the_loss_falls():
    recipe = replace(tiny_recipe(), windows=((1, 1),), window_shares=(1.0,), tokens_per_step=128)
    trainee = build_trainee(recipe, 0)
    pool = build_pool(32, 0, CPU)
    means = []
    for start in (0, 60):
        window = _Window()
        for step in range(start, start + 60):
            generator = step_generator(0, step, CPU)
            training_step(trainee, recipe, draw_batch(recipe, pool, 0, step, generator), generator, 1.0, window)
        means.append(window.means()["loss"])
    assert means[1] < 0.7 * means[0]


def test_every_parameter_is_trained():
    trainee = build_trainee(tiny_recipe(), 0)
    before = {name: value.clone() for name, value in trainee.transformer.state_dict().items()}
    run_steps(trainee, 4)
    still = [name for name, value in trainee.transformer.state_dict().items() if torch.equal(value, before[name])]
    assert still == ["noise_filter.basis", "noise_filter.variance"]  # fitted once, not learnt


def test_train_writes_state_and_log_and_ends_its_cycle(tmp_path):
    seen = []
    trainee = train(
        tiny_recipe(),
        tmp_path,
        minutes=0.02,
        observe=lambda trainee, out: seen.append((trainee.progress.fraction, out)),
        log_every=1,
    )
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, trainee.progress.step + 1))
    assert {"loss", "norm", "lr_factor", "clips", "tokens"} <= lines[-1].keys()
    assert any(name.startswith("loss_sigma_") for name in lines[-1])
    assert seen[-1] == (1.0, tmp_path)


def test_a_second_cycle_goes_on_from_the_first(tmp_path):
    first = train(tiny_recipe(), tmp_path, minutes=0.01).progress
    second = train(tiny_recipe(), tmp_path, minutes=0.01).progress
    assert second.step > first.step
    assert second.cycle_step == first.step


def test_training_starts_from_given_weights(tmp_path):
    shipped = build_trainee(tiny_recipe(), 5).transformer.state_dict()
    trainee = train(tiny_recipe(), tmp_path, minutes=1e-9, start=Start(shipped, "elsewhere"))
    assert trainee.progress.step <= 1
    assert trainee.progress.origin == "elsewhere"
    assert trainee.ema.values.keys() == dict(trainee.transformer.named_parameters()).keys()


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_must_be_a_positive_number(tmp_path, minutes):
    with pytest.raises(RequestError, match="minutes"):
        train(tiny_recipe(), tmp_path, minutes=minutes)


@pytest.mark.parametrize("content", [b"", b"not a state", b"PK\x03\x04broken"])
def test_a_damaged_state_is_reported_and_kept(tmp_path, content):
    path = tmp_path / STATE_FILE
    path.write_bytes(content)
    with pytest.raises(FailureError, match="training state"):
        build_trainee(tiny_recipe(), 0).load(path)
    assert path.read_bytes() == content


def test_a_state_of_another_architecture_is_refused(tmp_path):
    build_trainee(tiny_recipe(), 0).save(tmp_path / STATE_FILE)
    other = replace(tiny_recipe(), config=replace(tiny_recipe().config, layers=1))
    with pytest.raises(FailureError, match="recipe"):
        build_trainee(other, 0).load(tmp_path / STATE_FILE)


def test_a_cycle_knows_how_much_is_left():
    progress = Progress(step=10)
    assert progress.fraction == 1.0
    progress.begin_cycle(2.0)
    progress.cycle_seconds = 60.0
    assert progress.fraction == 0.5
    assert progress.cycle_step == 10
