"""Processes that train together: real ones, joined by gloo."""

import pytest
import torch

from kinemark.together import ALONE, join
from kinemark.training.loop import train
from kinemark.training.recipes import tiny_recipe
from kinemark.training.stream import build_pool, draw_batch, step_generator
from pairs import run_pair


def test_alone_nothing_is_exchanged(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert join() is ALONE
    assert ALONE.leads
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([1.0, 2.0])
    ALONE.average_gradients([weight])
    ALONE.wait()
    assert weight.grad.tolist() == [1.0, 2.0]
    assert ALONE.agreed(0.25) == 0.25


def _exchange(together, _folder):
    one, two, idle = torch.nn.Parameter(torch.zeros(2, 2)), torch.nn.Parameter(torch.zeros(3)), torch.zeros(1)
    one.grad, two.grad = torch.full((2, 2), float(together.rank)), torch.arange(3.0) * (1 + together.rank)
    together.average_gradients([one, idle, two])
    return {"one": one.grad, "two": two.grad, "seconds": together.agreed(10.0 + together.rank), "leads": together.leads}


def _train(together, folder):
    trainee = train(tiny_recipe(), folder / "run", minutes=0.03, together=together, log_every=1)
    return {
        "weights": trainee.transformer.state_dict(),
        "ema": trainee.ema.values,
        "steps": trainee.progress.step,
        "clips": trainee.progress.clips,
        "momentum": [state["momentum"] for state in trainee.optimisers[0].state_dict()["state"].values()],
    }


def test_two_processes_share_gradients_and_a_clock(tmp_path):
    first, second = run_pair(_exchange, tmp_path)
    assert (first["leads"], second["leads"]) == (True, False)
    for own in (first, second):
        torch.testing.assert_close(own["one"], torch.full((2, 2), 0.5))
        torch.testing.assert_close(own["two"], torch.arange(3.0) * 1.5)
        assert own["seconds"] == 10.0


def test_two_processes_learn_the_same_and_end_at_the_same_step(tmp_path):
    first, second = run_pair(_train, tmp_path)
    assert first["steps"] == second["steps"] > 1
    assert first["clips"] == second["clips"] == 2 * (first["clips"] // 2)
    for name, value in first["weights"].items():
        assert torch.equal(value, second["weights"][name]), name
    for name, value in first["ema"].items():
        assert torch.equal(value, second["ema"][name]), name
    for one, other in zip(first["momentum"], second["momentum"], strict=True):
        assert torch.equal(one, other)
    assert (tmp_path / "run" / "state.pt").is_file()
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == first["steps"]


@pytest.mark.parametrize("step", [0, 17])
def test_processes_draw_different_clips_in_batches_of_one_shape(step):
    recipe, device = tiny_recipe(), torch.device("cpu")
    pool = build_pool(8, 0, device)
    one, other = (draw_batch(recipe, pool, 5, step, step_generator(5, step, device, rank)) for rank in (0, 1))
    assert one.clean_BCFHW.shape == other.clean_BCFHW.shape
    assert one.leads == other.leads
    assert not torch.equal(one.clean_BCFHW, other.clean_BCFHW)
