"""The transformer computes what diffusers' implementation of Wan and its relatives computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import SkyReelsV2Transformer3DModel, WanTransformer3DModel

from kinemark.model.adapt import to_ours
from kinemark.model.checkpoints import build, fitted
from kinemark.model.configs import TransformerConfig
from wan_like import WAN_LIKE, inputs, randomised, reference


@pytest.mark.parametrize(
    ("config", "slots", "size"),
    [
        (WAN_LIKE, 1, (4, 4)),
        (WAN_LIKE, 3, (6, 10)),
        (WAN_LIKE, 5, (8, 4)),
        (replace(WAN_LIKE, width=36, heads=1, layers=3, in_channels=6), 2, (4, 6)),
        (replace(WAN_LIKE, width=128, heads=4, patch=(1, 4, 2), out_channels=3), 3, (8, 8)),
    ],
)
@torch.no_grad()
def test_equals_diffusers_with_one_level(config: TransformerConfig, slots: int, size: tuple[int, int]) -> None:
    model = randomised(config)
    x, _, text = inputs(config, slots, size)
    sigma = torch.tensor([0.25, 0.875])
    theirs = reference(model)(x, 1000 * sigma, text, return_dict=False)[0]
    torch.testing.assert_close(model(x, sigma, text), theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(("slots", "size"), [(1, (4, 4)), (4, (6, 8))])
@torch.no_grad()
def test_equals_diffusers_with_a_level_per_slot(slots: int, size: tuple[int, int]) -> None:
    model = randomised(WAN_LIKE)
    x, sigma, text = inputs(WAN_LIKE, slots, size)
    tokens = size[0] * size[1] // 4
    per_token = (1000 * sigma).repeat_interleave(tokens, dim=1)
    theirs = reference(model)(x, per_token, text, return_dict=False)[0]
    torch.testing.assert_close(model(x, sigma, text), theirs, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_short_text_is_padded_with_zeros_that_are_attended_to() -> None:
    model = randomised(WAN_LIKE)
    x, sigma, text = inputs(WAN_LIKE, 2)
    padded = text.clone()
    padded[:, 3:] = 0
    theirs = reference(model)(x, 1000 * sigma[:, 0], padded, return_dict=False)[0]
    torch.testing.assert_close(model(x, sigma[:, :1], text[:, :3]), theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_relative_error_is_within_the_precision(dtype: torch.dtype) -> None:
    """In float32 1e-5 of the answer, in bfloat16 1e-2: what two orders of the same arithmetic may differ by."""
    config = replace(WAN_LIKE, width=96, heads=4, ffn=256, layers=4)
    model = randomised(config, scale=0.05).to(dtype)
    theirs = reference(model).to(dtype)
    for name, parameter in theirs.named_parameters():  # what diffusers keeps in float32
        if any(kept in name for kept in WanTransformer3DModel._keep_in_fp32_modules):
            parameter.data = parameter.float()
    x, _, text = inputs(config, 3, (8, 8), dtype=dtype)
    sigma = torch.tensor([0.25, 0.875])
    expected = theirs(x, 1000 * sigma, text, return_dict=False)[0].float()
    error = (model(x, sigma, text).float() - expected).norm() / expected.norm()
    assert error < (1e-5 if dtype == torch.float32 else 1e-2)


@pytest.mark.parametrize("positions", [0, 14])
@torch.no_grad()
def test_equals_diffusers_with_given_pictures(positions: int) -> None:
    """Wan 2.1 image to video: channels beside the latent, and features beside the text (of two pictures in FLF2V)."""
    config = replace(WAN_LIKE, condition_channels=20, image_dim=10, image_positions=positions, text_len=512)
    model = randomised(config)
    x, _, text = inputs(config, 3, (6, 4))
    condition, features = torch.randn(2, 20, 3, 6, 4), torch.randn(2, 14, 10)
    sigma = torch.tensor([0.25, 0.875])
    given = features.view(4, 7, 10) if positions else features  # diffusers takes two pictures as two items
    theirs = reference(model)(
        torch.cat((x, condition), dim=1), 1000 * sigma, text, encoder_hidden_states_image=given, return_dict=False
    )[0]
    ours = model(x, sigma, text, condition_BCFHW=condition, image_BKI=features)
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_equals_diffusers_skyreels_at_its_rate_of_frames() -> None:
    """SkyReels-V2 embeds the rate of frames; for a rate that stays this is a bias, into which `to_ours` turns it."""
    theirs = SkyReelsV2Transformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=8,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        inject_sample_info=True,
    ).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    state = to_ours(theirs.state_dict())
    model = build(fitted(WAN_LIKE, state), state, "a test's")
    x, _, text = inputs(WAN_LIKE, 3)
    sigma = torch.tensor([0.25, 0.875])
    expected = theirs(x, 1000 * sigma, text, fps=[1], return_dict=False)[0]
    torch.testing.assert_close(model(x, sigma, text), expected, atol=2e-5, rtol=1e-4)
