"""Blocks that wait in host memory give what they give when they are there."""

from dataclasses import replace

import pytest
import torch

from kinemark.model.waiting import Waiting
from wan_like import WAN_LIKE, inputs, randomised

CPU = torch.device("cpu")
CONFIG = replace(WAN_LIKE, layers=4)


@pytest.mark.parametrize("waiting", [1, 3, 4])
@torch.no_grad()
def test_answers_are_the_same(waiting):
    model, arguments = randomised(CONFIG).in_fast_precision(), inputs(CONFIG, 3)
    there = model(*arguments)
    model.in_fast_precision(CPU, waiting=waiting)
    assert torch.equal(model(*arguments), there)
    assert torch.equal(model(*arguments), there)  # the weights went home
    assert torch.equal(model.in_fast_precision()(*arguments), there)


def test_each_has_its_weights_when_it_is_its_turn_and_no_other_then():
    layers = [torch.nn.Linear(3, 3) for _ in range(4)]
    waiting = Waiting.of(layers[1:], CPU, torch.float32)
    at_home = [layer.weight.data_ptr() for layer in layers]
    seen = []
    for index, layer in enumerate(waiting.among(layers)):
        moved = [one.weight.data_ptr() != home for one, home in zip(layers, at_home, strict=True)]
        seen.append((layers.index(layer), moved))
        assert index == seen[-1][0]
    assert [moved for _, moved in seen] == [
        [False, False, False, False],
        [False, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]
    assert [layer.weight.data_ptr() for layer in layers] == at_home


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@torch.no_grad()
def test_on_a_gpu_they_take_the_room_of_two():
    config = replace(WAN_LIKE, layers=8, width=480, heads=8, ffn=2048)
    gpu, model = torch.device("cuda"), randomised(config)
    arguments = [one.to(gpu) for one in inputs(config, 3)]
    there = model.in_fast_precision(gpu)(*arguments)
    whole = torch.cuda.memory_allocated()
    model.in_fast_precision(gpu, waiting=8)
    assert torch.cuda.memory_allocated() < whole / 2
    for _ in range(3):
        assert torch.equal(model(*arguments), there)
