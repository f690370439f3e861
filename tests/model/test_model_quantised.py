"""Weights of 8 bits: how far off, and how small."""

from dataclasses import replace

import pytest
import torch

from kinemark.model.quantised import KINDS, QuantisedLinear, quantise
from wan_like import WAN_LIKE, inputs, randomised


def layer_and_tokens(width=64, out=48):
    torch.manual_seed(0)
    layer = torch.nn.Linear(width, out)
    layer.weight.data *= torch.logspace(-2, 2, out)[:, None]  # rows of very different sizes
    return layer.requires_grad_(requires_grad=False), torch.randn(2, 20, width) * torch.logspace(-3, 3, 20)[:, None]


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.01), ("float8", 0.05)])
def test_every_row_and_every_token_is_as_exact_as_the_others(kind, most):
    layer, tokens = layer_and_tokens()
    whole, eighth = layer(tokens), QuantisedLinear(layer, KINDS[kind])(tokens)
    assert eighth.shape == whole.shape
    assert eighth.dtype == whole.dtype
    error = (eighth - whole).flatten(0, 1)
    for dimension in (0, 1):
        relative = error.norm(dim=dimension) / whole.flatten(0, 1).norm(dim=dimension)
        assert 0 < float(relative.median()) < most
        assert float(relative.max()) < 6 * float(relative.median())


@pytest.mark.parametrize("kind", KINDS)
def test_weights_stay_what_they_are_wherever_they_go(kind):
    layer, tokens = layer_and_tokens()
    eighth = QuantisedLinear(layer, KINDS[kind])
    before = eighth(tokens)
    eighth.to("cpu", torch.bfloat16)
    assert eighth.weight.dtype == KINDS[kind].dtype
    assert eighth.scale.dtype == torch.float32
    assert eighth.bias.dtype == torch.bfloat16
    assert torch.allclose(eighth(tokens), before, rtol=0.02, atol=0.05)
    assert eighth.weight.nbytes == layer.weight.numel()


def test_a_token_of_zeros_is_no_division_by_zero():
    layer, _ = layer_and_tokens()
    assert torch.equal(QuantisedLinear(layer, KINDS["int8"])(torch.zeros(1, 17, 64)), layer.bias.expand(1, 17, -1))


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.02), ("float8", 0.08)])
@torch.no_grad()
def test_a_transformer_of_8_bits(kind, most):
    config = replace(WAN_LIKE, width=96, heads=2, ffn=128)
    model, arguments = randomised(config, scale=0.1), inputs(config, 3)
    whole = model(*arguments)
    linears = [name for name, one in model.blocks.named_modules() if isinstance(one, torch.nn.Linear)]
    quantise(model.blocks, KINDS[kind])
    assert not any(isinstance(one, torch.nn.Linear) for one in model.blocks.modules())
    assert sum(isinstance(one, QuantisedLinear) for one in model.blocks.modules()) == len(linears)
    assert 0 < float((model(*arguments) - whole).norm() / whole.norm()) < most
