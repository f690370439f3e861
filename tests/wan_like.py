"""Transformers of tiny shapes with the arithmetic of Wan, and diffusers' implementation with the same weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from diffusers import UniPCMultistepScheduler, WanTransformer3DModel

from kinemark.model.configs import TransformerConfig, tiny
from kinemark.model.naming import to_diffusers
from kinemark.model.transformer import Transformer

# Tiny shapes with the arithmetic of Wan: integer positions, base 10000, full attention.
WAN_LIKE = replace(tiny(), rope_base=10_000.0, rope_span=None, predicts="velocity", block_slots=None, freq_dim=256)


def randomised(config: TransformerConfig, seed: int = 0, scale: float = 0.2) -> Transformer:
    """Return a transformer in which every parameter matters; a fresh one is the identity."""
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(centre + scale * torch.randn(parameter.shape, generator=generator))
    return model


def inputs(
    config: TransformerConfig,
    slots: int,
    size: tuple[int, int] = (8, 8),
    batch: int = 2,
    dtype: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, config.in_channels, slots, *size, generator=generator)
    sigma = torch.randint(1025, (batch, slots), generator=generator) / 1024  # so that 1000 sigma is exact in float32
    text = torch.randn(batch, config.text_len, config.text_dim, generator=generator)
    return x.to(dtype), sigma, text.to(dtype)


def reference(model: Transformer) -> WanTransformer3DModel:
    """Return diffusers' Wan with the same weights."""
    config = model.config
    theirs = WanTransformer3DModel(
        patch_size=config.patch,
        num_attention_heads=config.heads,
        attention_head_dim=config.head_dim,
        in_channels=config.in_channels + config.condition_channels,
        out_channels=config.out_channels,
        text_dim=config.text_dim,
        freq_dim=config.freq_dim,
        ffn_dim=config.ffn,
        num_layers=config.layers,
        cross_attn_norm=True,
        rope_max_seq_len=64,
        image_dim=config.image_dim or None,
        added_kv_proj_dim=config.width if config.image_dim else None,
        pos_embed_seq_len=config.image_positions or None,
    ).eval()
    theirs.load_state_dict(to_diffusers(model.state_dict()), strict=True)
    theirs.condition_embedder.timesteps_proj.register_forward_hook(exact_sinusoid)
    return theirs


def exact_sinusoid(module: torch.nn.Module, args: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    """Return the sinusoid as the original Wan computes it, in float64; diffusers' float32 is 1e-4 off at t = 1000."""
    half = output.shape[-1] // 2
    angle = args[0].double()[:, None] * 10_000 ** (-torch.arange(half, dtype=torch.float64) / half)
    exact = torch.cat((angle.cos(), angle.sin()), dim=-1).float()
    torch.testing.assert_close(output, exact, atol=3e-4, rtol=0)
    return exact


def unipc_scheduler(shift: float) -> UniPCMultistepScheduler:
    """Return diffusers' UniPC as its Wan pipelines use it."""
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
