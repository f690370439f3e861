"""Image to video ends where diffusers' pipeline ends, with a first picture, and with a first and a last one."""

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanImageToVideoPipeline
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from kinemark.errors import FailureError, RequestError
from kinemark.rollout import conditions_of
from kinemark.sampling.streaming import sample_jointly
from kinemark.timeline import Capability, Known, PromptSpan, Timeline
from kinemark.wan.load import NEGATIVE, load_wan
from tiny_wan import CONFIG, tiny_folder, tiny_release
from wan_like import reference, unipc_scheduler

PROMPT = "a red boat drifts across the sea"
CPU = torch.device("cpu")
FEATURES = (32 // 8) ** 2 + 1
SHOWN = replace(CONFIG, condition_channels=20, capabilities=frozenset({Capability.HISTORY, Capability.FUTURE}))
CONFIGS = {
    "2.2": SHOWN,
    "2.1": replace(SHOWN, image_dim=12),
    "ends": replace(SHOWN, image_dim=12, image_positions=2 * FEATURES),
}


@pytest.fixture(scope="module", params=CONFIGS)
def case(request, tmp_path_factory):
    config = CONFIGS[request.param]
    folder = tiny_folder(tmp_path_factory.mktemp("wan"), config)
    vision = CLIPVisionConfig(
        hidden_size=12, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=32, patch_size=8
    )
    CLIPVisionModel(vision).save_pretrained(folder / "image_encoder")
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder / "image_processor")
    return request.param, folder, load(folder, config)


def load(folder, config):
    model = load_wan(tiny_release(config), folder, folder, "0" * 64, name="tiny-wan", device=CPU)
    return replace(model, text=replace(model.text, dtype=torch.float32))


def picture(seed):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(3, 64, 96, generator=generator) * 255).round() / 255


@pytest.fixture(autouse=True)
def _in_float32(monkeypatch):
    """Whatever this machine is fast at: it is compared with float32."""
    monkeypatch.setattr("kinemark.model.transformer.fast_dtype", lambda _device: torch.float32)


def as_image(picture_CHW):
    return Image.fromarray((picture_CHW * 255).round().byte().permute(1, 2, 0).numpy())


def timeline_of(pictures):
    starts = (0, 12)
    knowns = tuple(Known(one[None], start) for one, start in zip(pictures, starts, strict=False))
    return Timeline(13, 16, (64, 96), knowns, (PromptSpan(PROMPT),))


@torch.no_grad()
def test_latents_are_those_of_diffusers_pipeline(case):
    name, folder, model = case
    pictures = [picture(1), picture(2)][: 2 if name == "ends" else 1]
    sampler = replace(model.sampler, first_steps=3)
    conditions = conditions_of(timeline_of(pictures), model, 7)
    ours = sample_jointly(model.experts(4.0, conditions, "").detail, conditions, sampler)
    plain = name == "2.2"
    pipeline = WanImageToVideoPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=AutoencoderKLWan.from_pretrained(folder / "vae"),
        scheduler=unipc_scheduler(3.0),
        image_encoder=None if plain else CLIPVisionModel.from_pretrained(folder / "image_encoder"),
        image_processor=None if plain else CLIPImageProcessor.from_pretrained(folder / "image_processor"),
        transformer=reference(model.experts(4.0, conditions, "").detail.network.denoiser.float()),
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        image=as_image(pictures[0]),
        last_image=as_image(pictures[1]) if len(pictures) > 1 else None,
        prompt_embeds=model.text.encode([PROMPT]),
        negative_prompt_embeds=model.text.encode([NEGATIVE]),
        height=64,
        width=96,
        num_frames=13,
        num_inference_steps=3,
        guidance_scale=4.0,
        latents=conditions.noise(range(4), 0),
        output_type="latent",
    ).frames
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_without_a_picture_nothing_is_made(case):
    _, _, model = case
    with pytest.raises(RequestError, match="none is given; give one with --image"):
        conditions_of(Timeline.from_text(PROMPT, num_frames=9, fps=16, size=(64, 96)), model, 1)


def test_an_image_encoder_that_is_missing(tmp_path):
    tiny_folder(tmp_path, CONFIGS["2.1"])
    with pytest.raises(FailureError, match=r"no image encoder in .*pull the model again"):
        conditions_of(timeline_of([picture(1)]), load(tmp_path, CONFIGS["2.1"]), 1)
