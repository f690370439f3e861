"""The transformer computes what Wan computes, and generalises it as design promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from kinemark.model.cache import CachePolicy, KVCache
from kinemark.model.configs import (
    TransformerConfig,
    spark,
    tiny,
    wan_1_3b,
    wan_5b,
    wan_14b,
    wan_14b_ends,
    wan_14b_image,
    wan_22_14b_image,
)
from kinemark.model.kernels import block_causal_mask, rotary_table, rotate
from kinemark.model.transformer import Transformer
from wan_like import inputs, randomised


@torch.no_grad()
def test_a_scalar_or_one_level_per_item_broadcasts() -> None:
    model = randomised(tiny())
    x, _, text = inputs(tiny(), 3)
    everywhere = model(x, torch.full((2, 3), 0.5), text)
    torch.testing.assert_close(model(x, torch.tensor(0.5), text), everywhere)
    torch.testing.assert_close(model(x, torch.tensor([0.5, 0.5]), text), everywhere)


@torch.no_grad()
def test_only_differences_of_time_matter_and_they_need_not_be_whole() -> None:
    model = randomised(tiny())
    x, sigma, text = inputs(tiny(), 3)
    plain = model(x, sigma, text)
    torch.testing.assert_close(model(x, sigma, text, time_BF=torch.arange(3) + 17.25), plain, atol=1e-5, rtol=1e-4)
    assert (model(x, sigma, text, time_BF=torch.tensor([0.0, 1.0, 2.25])) - plain).abs().max() > 1e-3


@torch.no_grad()
def test_times_belong_to_their_item() -> None:
    model = randomised(tiny())
    x, sigma, text = inputs(tiny(), 3)
    time = torch.tensor([[0.0, 1.0, 2.0], [0.0, 4.0, 4.5]])
    together = model(x, sigma, text, time_BF=time)
    alone = torch.cat([model(x[i : i + 1], sigma[i : i + 1], text[i : i + 1], time_BF=time[i]) for i in range(2)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_generation_order_is_free_when_times_are_true() -> None:
    """An anchor that is given first in the order, at its late true time, is the same anchor."""
    model = randomised(tiny())
    x, sigma, text = inputs(tiny(), 4)
    time, block = torch.arange(4.0), torch.tensor([1, 2, 3, 0])
    plain = model(x, sigma, text, time_BF=time, block_F=block)
    order = [3, 0, 1, 2]
    moved = model(x[:, :, order], sigma[:, order], text, time_BF=time[order], block_F=block[order])
    torch.testing.assert_close(moved, plain[:, :, order], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_block_causal_hides_later_blocks_only() -> None:
    model = randomised(tiny())
    x, sigma, text = inputs(tiny(), 4)
    block = torch.tensor([0, 0, 1, 2])
    before = model(x, sigma, text, block_F=block)
    x[:, :, 2] += 1.0
    change = (model(x, sigma, text, block_F=block) - before).abs().amax((0, 1, 3, 4))
    assert change[:2].max() == 0
    assert change[2:].min() > 1e-3


def test_block_causal_mask_by_hand() -> None:
    mask = block_causal_mask(torch.tensor([1, 0]), cached_slots=1, asking=1, asked=1)
    assert mask.tolist() == [[[[True, True, True], [True, False, True]]]]
    assert block_causal_mask(torch.zeros(2, 3, dtype=torch.long), 2, 2, 2).shape == (2, 1, 6, 10)


@pytest.mark.parametrize("blocks", [[1, 1, 1, 1], [1, 2, 1], [3, 1]])
@torch.no_grad()
def test_block_causal_equals_steps_with_a_cache(blocks: list[int]) -> None:
    model = randomised(tiny())
    slots = sum(blocks)
    x, sigma, text = inputs(tiny(), slots)
    time = torch.tensor([2.5, 0.0, 1.0, 3.0])[:slots]
    block = torch.repeat_interleave(torch.arange(len(blocks)), torch.tensor(blocks))
    at_once = model(x, sigma, text, time_BF=time, block_F=block)
    cache, outputs = KVCache(), []
    for new in torch.arange(slots).split(blocks):
        args = (x[:, :, new], sigma[:, new], text)
        model(*args, time_BF=time[new], cache=cache)  # a denoising step leaves no trace
        outputs.append(model(*args, time_BF=time[new], cache=cache, write=True))
    torch.testing.assert_close(torch.cat(outputs, dim=2), at_once, atol=1e-5, rtol=1e-4)
    assert len(cache) == slots


@torch.no_grad()
def test_several_blocks_can_be_written_in_one_forward() -> None:
    model = randomised(tiny())
    x, sigma, text = inputs(tiny(), 4)
    at_once = model(x, sigma, text, block_F=torch.arange(4))
    cache = KVCache()
    model(x[:, :, :1], sigma[:, :1], text, cache=cache, write=True)
    model(x[:, :, 1:3], sigma[:, 1:3], text, block_F=torch.arange(2), cache=cache, write=True)
    last = model(x[:, :, 3:], sigma[:, 3:], text, cache=cache)
    torch.testing.assert_close(last, at_once[:, :, 3:], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_window_sees_what_it_holds_and_no_more() -> None:
    model = randomised(replace(tiny(), layers=1))
    x, sigma, text = inputs(tiny(), 5)
    cache = KVCache(CachePolicy(window=1, sinks=1))
    for slot in range(4):
        model(x[:, :, slot : slot + 1], sigma[:, slot : slot + 1], text, cache=cache, write=True)
        assert len(cache) <= 2
    windowed = model(x[:, :, 4:], sigma[:, 4:], text, cache=cache)
    held = [0, 3, 4]  # the sink, the window, the slot itself; one layer, so nothing else can leak in
    expected = model(x[:, :, held], sigma[:, held], text, time_BF=torch.tensor([0.0, 3.0, 4.0]))
    torch.testing.assert_close(windowed, expected[:, :, 2:], atol=1e-5, rtol=1e-4)


def test_a_fresh_model_answers_zero_and_every_block_is_the_identity() -> None:
    model = Transformer(tiny())
    x, sigma, text = inputs(tiny(), 2)
    seen: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, args, output: seen.extend((args[0], output)))
    assert model(x, sigma, text).abs().max() == 0
    assert all(torch.equal(tokens, seen[0]) for tokens in seen)
    assert seen[0].shape == (2, 2 * 16, 24)


def test_half_of_the_heads_begin_near() -> None:
    config = spark()
    attention = Transformer(config).blocks[0].self_attn
    tokens = torch.randn(4, 64, config.width, generator=torch.Generator().manual_seed(0))
    table = rotary_table(config, torch.zeros(1, 1), (8, 8))
    with torch.no_grad():
        q, k = (
            rotate(attention._split(norm(layer(tokens))), table)
            for norm, layer in ((attention.norm_q, attention.q), (attention.norm_k, attention.k))
        )
    weight = ((q @ k.mT) * q.shape[-1] ** -0.5).softmax(dim=-1).mean(dim=0)
    place = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0))
    distance = (weight * torch.cdist(place, place)).sum(dim=-1).mean(dim=-1)
    assert (distance[:2] < 0.75 * distance[2:].min()).all(), distance


def test_gradients_reach_every_parameter() -> None:
    model = randomised(tiny()).train()
    x, sigma, text = inputs(tiny(), 3)
    model(x, sigma, text, block_F=torch.arange(3)).square().mean().backward()
    without = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inference_runs_in_the_fast_precision_and_answers_alike(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    monkeypatch.setattr("kinemark.model.transformer.fast_dtype", lambda _device: dtype)
    model, fast = randomised(tiny()), randomised(tiny()).in_fast_precision()
    assert fast.blocks[0].ffn[0].weight.dtype == dtype
    assert fast.head.head.weight.dtype == torch.float32
    with torch.no_grad():
        exact, quick = model(*inputs(tiny(), 2)), fast(*inputs(tiny(), 2))
    assert quick.dtype == torch.float32
    assert (quick - exact).square().mean() < 1e-3 * exact.square().mean()


def test_half_precision_keeps_the_residual_stream_in_float32() -> None:
    model = randomised(tiny())
    x, sigma, text = inputs(tiny(), 2)
    exact = model(x, sigma, text)
    seen: list[torch.dtype] = []
    model.to(torch.bfloat16).blocks[0].register_forward_hook(lambda _module, _args, output: seen.append(output.dtype))
    rounded = model(x, sigma, text)
    assert seen == [torch.float32]
    assert rounded.dtype == torch.float32
    assert (rounded - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize(
    ("config", "parameters", "per_block", "tensors"),
    [
        (wan_1_3b(), 1_418_996_800, 46_440_704, 825),
        (wan_5b(), 4_999_787_712, 163_656_704, 825),
        (wan_14b(), 14_288_491_584, 351_394_304, 1095),
        (wan_22_14b_image(), 14_288_901_184, 351_394_304, 1095),
        (wan_14b_image(), 16_394_878_784, 403_838_464, 1303),
        (wan_14b_ends(), 16_394_878_784 + 514 * 1280, 403_838_464, 1304),
    ],
)
def test_wan_sizes(config: TransformerConfig, parameters: int, per_block: int, tensors: int) -> None:
    with torch.device("meta"):
        model = Transformer(config)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.blocks[0].parameters()) == per_block
    assert len(model.state_dict()) == tensors


def test_a_condition_is_read_beside_the_latent() -> None:
    config = replace(tiny(), condition_channels=3)
    model = randomised(config)
    x, sigma, text = inputs(config, 2)
    condition = torch.randn(len(x), 3, *x.shape[2:])
    shown, other = (model(x, sigma, text, condition_BCFHW=c) for c in (condition, -condition))
    assert not torch.allclose(shown, other)
    wide = Transformer(replace(config, condition_channels=0, in_channels=config.in_channels + 3)).eval()
    wide.load_state_dict(model.state_dict())
    torch.testing.assert_close(wide(torch.cat((x, condition), dim=1), sigma, text), shown)


@pytest.mark.parametrize("channels", [0, 2])
def test_a_wrong_condition_is_explained(channels: int) -> None:
    config = replace(tiny(), condition_channels=3)
    x, sigma, text = inputs(config, 1)
    condition = torch.randn(len(x), channels, *x.shape[2:]) if channels else None
    with pytest.raises(ValueError, match=f"a condition of {channels} channels; the model takes 3"):
        Transformer(config)(x, sigma, text, condition_BCFHW=condition)


def test_pooled_text_speaks_to_every_block() -> None:
    """With cross-attention silenced, the text still matters; without `pooled_text` it does not."""
    for pooled in (True, False):
        config = replace(tiny(), pooled_text=pooled)
        model = randomised(config)
        with torch.no_grad():
            for block in model.blocks:
                block.cross_attn.o.weight.zero_()
        x, sigma, text = inputs(config, 1)
        assert torch.allclose(model(x, sigma, text), model(x, sigma, -text)) is not pooled


def test_bad_shapes_are_explained() -> None:
    model = Transformer(tiny())
    x, sigma, text = inputs(tiny(), 2)
    with pytest.raises(ValueError, match="7x8 does not divide into patches of 2x2"):
        model(x[..., :7, :], sigma, text)
    with pytest.raises(ValueError, match="longer than 6"):
        model(x, sigma, torch.zeros(2, 7, 8))
    with pytest.raises(ValueError, match="does not broadcast to batch 2 by 2 slots"):
        model(x, torch.zeros(2, 3), text)
    with pytest.raises(RuntimeError, match="no_grad"):
        model(x, sigma, text, cache=KVCache())
