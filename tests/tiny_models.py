"""A model for tests of the whole path: every part is real and tiny, and its random weights make pictures."""

from dataclasses import replace
from pathlib import Path

import torch

from kinemark.engine import Model
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig
from kinemark.model.load import Networks, Origin
from kinemark.model.planner import LayoutPlanner, PlannerConfig
from kinemark.model.text import TextEncoder, text_config
from kinemark.model.transformer import Transformer
from kinemark.spark import spark_model
from kinemark.timeline import Capability
from kinemark.training.recipes import tiny_recipe


def tiny_model(capabilities: frozenset[Capability] = frozenset({Capability.HISTORY})) -> Model:
    """As the engine takes it, said to be trained for so much."""
    return spark_model(tiny_networks(capabilities))


def tiny_networks(capabilities: frozenset[Capability] = frozenset({Capability.HISTORY})) -> Networks:
    """Its head is biased towards a gradient in each patch, so that the gates see a picture and not noise."""
    torch.manual_seed(0)
    config = replace(tiny_recipe().config, capabilities=capabilities)
    transformer = Transformer(config)
    with torch.no_grad():
        for parameter in transformer.blocks.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
        transformer.head.head.weight.normal_(std=0.01)
        transformer.head.head.bias.copy_(torch.linspace(-0.8, 0.8, 4 * 4 * 12))
    upsampler, text = Upsampler(UpsamplerConfig(width=8, blocks=1)), TextEncoder(text_config())
    planner = LayoutPlanner(PlannerConfig(width=16, layers=1))
    reader = LayoutReader(LayoutReaderConfig(width=8, hidden=8, dilations=(1,)))
    for part in (transformer, planner, reader, upsampler, text):
        part.eval().requires_grad_(requires_grad=False)
    return Networks(
        name="tiny",
        config=config,
        transformer=transformer,
        scene=transformer,
        planner=planner,
        reader=reader,
        text=text,
        autoencoder=upsampler,
        origin=Origin("tiny", "0" * 40, "abc", {}),
        weights_digest="d" * 64,
        path=Path("tiny.safetensors"),
    )
