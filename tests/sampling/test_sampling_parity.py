"""A whole denoising loop ends where that of diffusers' pipeline ends."""

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanPipeline

from kinemark.sampling.conditions import Conditions
from kinemark.sampling.flow import Switched, WholeTimesteps
from kinemark.sampling.guidance import Guided
from kinemark.sampling.schedule import WanLevels
from kinemark.sampling.solvers import unipc
from kinemark.sampling.streaming import SamplerConfig, sample_jointly
from wan_like import WAN_LIKE, randomised, reference, unipc_scheduler

CONFIG = replace(WAN_LIKE, width=48, heads=2, ffn=96, in_channels=16, out_channels=16, text_len=12)
SHAPE = (16, 3, 8, 12)


def autoencoder():
    return AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)


@pytest.mark.parametrize("boundary", [None, 0.875])
@torch.no_grad()
def test_a_loop_ends_like_that_of_diffusers(boundary):
    """Guided, in whole timesteps, with UniPC; Wan 2.2's two experts have a guidance each."""
    high, low = (randomised(CONFIG, seed, scale=0.1) for seed in (0, 1))
    text_BLD, empty_BLD = torch.randn(2, 1, 12, 8)
    conditions = Conditions.from_text(text_BLD, [7], SHAPE)
    pipeline = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=autoencoder(),
        scheduler=unipc_scheduler(3.0),
        transformer=reference(high),
        transformer_2=None if boundary is None else reference(low),
        boundary_ratio=boundary,
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt_embeds=text_BLD,
        negative_prompt_embeds=empty_BLD,
        height=64,
        width=96,
        num_frames=9,
        num_inference_steps=8,
        guidance_scale=4.0,
        guidance_scale_2=None if boundary is None else 3.0,
        latents=conditions.noise(range(3), 0),
        output_type="latent",
    ).frames
    experts = [WholeTimesteps(Guided(model, empty_BLD[0], scale)) for model, scale in ((high, 4.0), (low, 3.0))]
    denoiser = experts[0] if boundary is None else Switched(*experts, boundary)
    sampler = SamplerConfig(first_steps=8, schedule=WanLevels(3.0), block_slots=None, solver=unipc)
    ours = sample_jointly(denoiser, conditions, sampler)
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()
