import json

import pytest
import torch
from safetensors import safe_open

from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig
from kinemark.model.planner import LayoutPlanner, PlannerConfig
from kinemark.model.text import TextConfig, TextEncoder, text_config
from kinemark.training.layout_reader import LayoutReaderRecipe
from kinemark.training.planner import PlannerRecipe
from kinemark.training.text import TextRecipe
from kinemark.training.weights import load_weights, save_weights

NETWORKS = {
    "text": (
        TextEncoder(text_config()),
        TextRecipe(),
        lambda c: TextEncoder(TextConfig(**c)),
    ),
    "planner": (
        LayoutPlanner(PlannerConfig(width=16, layers=1)),
        PlannerRecipe(),
        lambda c: LayoutPlanner(PlannerConfig(**c)),
    ),
    "reader": (
        LayoutReader(LayoutReaderConfig(width=8, hidden=8, dilations=(1, 2))),
        LayoutReaderRecipe(),
        lambda c: LayoutReader(LayoutReaderConfig.from_json(c)),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_come_back_as_they_were_written(name, tmp_path):
    network, recipe, build = NETWORKS[name]
    path = tmp_path / "network.safetensors"
    save_weights(path, network, recipe, accuracy={"all": 0.5})
    with safe_open(path, framework="pt") as file:
        header = {key: json.loads(value) for key, value in file.metadata().items()}
    assert header["accuracy"] == {"all": 0.5}
    assert header["recipe"]["seed"] == recipe.seed
    again = load_weights(path, build)
    assert again.config == network.config
    assert not again.training
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
