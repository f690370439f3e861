"""What a step, and the decoding of a slot, take of a release, before anything of it is loaded.

The model itself runs, on tensors that have shapes and no data: there is no formula to be kept in step with it.

Shape suffixes: B batch, F slots, C channels, H W latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import torch
from diffusers import AutoencoderKLWan

from kinemark.model.cache import KVCache
from kinemark.model.transformer import Transformer
from kinemark.sampling.streaming import plan
from kinemark.wan.autoencoder import WanAutoencoder
from kinemark.wan.memory import living

if TYPE_CHECKING:
    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.wan.releases import Release

#: UMT5-XXL's encoder, in bfloat16.
TEXT_ENCODER: Final = 2 * 5_680_910_336
_WAN_22_VAE: Final = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
}


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed at once, and how often.

    Attributes:
        slots: that are denoised together, at the most.
        latent: rows and columns of their latents.
        forwards: of the transformer, for the whole clip.
    """

    slots: int
    latent: tuple[int, int]
    forwards: float

    @classmethod
    def of(cls, slots: int, latent: tuple[int, int], sampler: SamplerConfig) -> Work:
        """The work of a clip of so many slots."""
        blocks = plan(torch.arange(slots), torch.ones(slots), sampler)
        largest = max(len(block.slots) for block in blocks) * sampler.joint_blocks
        forwards = sum(block.steps / sampler.joint_blocks + (sampler.block_slots is not None) for block in blocks)
        return cls(largest, latent, forwards)


@cache
def step_cost(
    release: Release, dtype: torch.dtype, batch: int, work: Work, sampler: SamplerConfig
) -> tuple[int, float]:
    """Bytes and arithmetic of the largest step: with a full cache, where there is one."""
    config, policy, slots = release.config, sampler.cache, work.slots
    with torch.device("meta"):
        transformer = Transformer(config).to(dtype)
        transformer.head.float()
        latent = torch.empty(batch, config.in_channels, 1, *work.latent)
        level, text = torch.empty(batch), torch.empty(batch, config.text_len, config.text_dim)
        condition = torch.empty(batch, config.condition_channels, 1, *work.latent)
        image = torch.empty(1, config.image_positions or 257, config.image_dim) if config.image_dim else None

    def run(count: int, cache: KVCache | None, *, write: bool = False) -> None:
        shown = condition.expand(-1, -1, count, -1, -1) if config.condition_channels else None
        transformer(
            latent.expand(-1, -1, count, -1, -1),
            level,
            text,
            cache=cache,
            write=write,
            condition_BCFHW=shown,
            image_BKI=image,
        )

    if sampler.block_slots is None:
        return living(lambda: run(slots, None), transformer.parameters())
    cache = KVCache(policy)
    kept = policy.sinks + (policy.window or 0)
    with torch.no_grad():
        for _ in range(0, kept, slots):
            run(slots, cache, write=True)

    def behind_a_full_cache() -> None:
        for buffer in cache.buffers():
            buffer.view_as(buffer)  # what was there before counts from when it is looked at
        run(slots, cache)

    return living(behind_a_full_cache, transformer.parameters())


@cache
def decoding_cost(release: Release, latent: tuple[int, int]) -> tuple[int, int]:
    """Bytes of the autoencoder's weights, and of decoding a slot after others."""
    changes = _WAN_22_VAE if release.config.out_channels == _WAN_22_VAE["z_dim"] else {}
    with torch.device("meta"):
        network = AutoencoderKLWan(**changes)
    weights: int = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return weights, WanAutoencoder(network).slot_bytes(latent)
