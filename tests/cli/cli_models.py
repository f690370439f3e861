"""A model for the tests of the command line: every part is real and tiny, and its random weights make pictures."""

from dataclasses import replace

import torch

from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.configs import tiny
from kinemark.model.load import Model, Origin
from kinemark.model.text import TextEncoder, text_config
from kinemark.model.transformer import Transformer
from kinemark.timeline import Capability


def tiny_model() -> Model:
    """Its head is biased towards a gradient in each patch, so that the gates see a picture and not noise."""
    torch.manual_seed(0)
    config = replace(
        tiny(), in_channels=12, out_channels=12, patch=(1, 8, 8), text_dim=128, text_len=16, rope_span=8.0,
        capabilities=frozenset({Capability.HISTORY}),
    )  # fmt: skip
    transformer = Transformer(config)
    with torch.no_grad():
        for parameter in transformer.blocks.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
        transformer.head.head.weight.normal_(std=0.01)
        transformer.head.head.bias.copy_(torch.linspace(-0.8, 0.8, 8 * 8 * 12))
    upsampler, text = Upsampler(UpsamplerConfig(width=8, blocks=1)), TextEncoder(text_config())
    for part in (transformer, upsampler, text):
        part.eval().requires_grad_(requires_grad=False)
    return Model(
        "tiny", config, transformer, transformer, text, upsampler, Origin("tiny", "0" * 40, "abc", {}), "d" * 64
    )
