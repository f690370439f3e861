"""A whole Wan model from its folder, through the one path, to a signed file; tiny and random."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanPipeline
from transformers import AutoTokenizer, UMT5EncoderModel

from kinemark import catalogue
from kinemark.errors import FailureError, RefusedError, RequestError
from kinemark.generate import begin, generate
from kinemark.model.quantised import KINDS
from kinemark.provenance.detect import verify
from kinemark.provenance.records.exceptions import sign_exception
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.signing.keys import require_keys
from kinemark.rollout import conditions_of, roll
from kinemark.sampling.conditions import Conditions
from kinemark.sampling.streaming import sample_jointly
from kinemark.settings import load_settings
from kinemark.timeline import Capability, PromptSpan, Timeline
from kinemark.wan.load import NEGATIVE, load_wan
from kinemark.wan.memory import free_memory
from kinemark.wan.releases import RELEASES
from kinemark.wan.store import weights_digest
from tiny_wan import CONFIG, tiny_folder, tiny_release
from wan_like import reference, unipc_scheduler

PROMPT = "a red boat drifts across the sea"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny-wan", experts=2)


@pytest.fixture(autouse=True)
def _in_float32(monkeypatch):
    """Whatever this machine is fast at: it is compared with float32."""
    monkeypatch.setattr("kinemark.model.transformer.fast_dtype", lambda _device: torch.float32)


def load(folder, release, **options):
    digest = weights_digest(folder)
    model = load_wan(release, folder, folder, digest, name="tiny-wan", device=CPU, **options)
    return replace(model, text=replace(model.text, dtype=torch.float32))


@pytest.mark.parametrize("experts", [1, 2])
def test_frames_are_those_of_diffusers_pipeline(folder, experts):
    """Text, sampling with one expert or two, and decoding: the same noise becomes the same pictures."""
    changes = {} if experts == 1 else {"guidance": (4.0, 3.0), "boundary": 0.875}
    model = load(folder, tiny_release(**changes))
    sampler = replace(model.sampler, first_steps=4)
    timeline = Timeline.from_text(PROMPT, num_frames=9, fps=16, size=(64, 96))
    conditions = conditions_of(timeline, model, 7)
    ours = np.concatenate(list(roll(timeline, model, model.experts(4.0, conditions, ""), conditions, sampler)))

    transformers = [reference(expert) for expert in _transformers(model)]
    pipeline = WanPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(folder / "text_encoder"),
        vae=AutoencoderKLWan.from_pretrained(folder / "vae"),
        scheduler=unipc_scheduler(3.0),
        transformer=transformers[0],
        transformer_2=transformers[1] if experts == 2 else None,
        boundary_ratio=model_boundary(changes),
    )
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        height=64,
        width=96,
        num_frames=9,
        num_inference_steps=4,
        guidance_scale=4.0,
        guidance_scale_2=3.0 if experts == 2 else None,
        latents=conditions.noise(range(3), 0),
        output_type="np",
    ).frames[0]
    assert np.abs(ours.astype(float) / 255 - theirs).max() < 3 / 255


def model_boundary(changes):
    return changes.get("boundary")


def _transformers(model):
    """The transformers behind a model's experts, in the order of their noise levels."""
    shape = Conditions.from_text(torch.zeros(1, 1, 8), [1], (16, 3, 8, 12))
    detail = model.experts(4.0, shape, "").detail
    experts = [detail.high, detail.low] if hasattr(detail, "high") else [detail]
    return [expert.network.denoiser.float() for expert in experts]


@pytest.fixture
def allowed():
    """This installation goes without a classifier that looks at photoreal pictures, and has signed that it does."""
    settings = load_settings()
    keys = require_keys(settings.keys_dir)
    with Ledger.open(settings.ledger_path, create=True) as ledger:
        now = dt.datetime.now(dt.UTC)
        sign_exception(ledger, keys, "photoreal-without-classifier", by="Kim", reason="trial", now=now)


def test_a_photoreal_model_needs_somebody_to_look(folder):
    with pytest.raises(RefusedError, match="no classifier looks at what comes out"):
        begin(PROMPT, model=load(folder, tiny_release()), seconds=0.5, steps=1)


@pytest.mark.usefixtures("allowed")
def test_from_a_prompt_to_a_signed_file(folder, tmp_path):
    model = load(folder, tiny_release())
    clip = generate(PROMPT, model=model, seconds=0.5, size=(64, 96), steps=1, seed=1)
    assert clip.frames_THWC.shape == (8, 64, 96, 3)
    assert (clip.fps, clip.model, clip.understood) == (16, "tiny-wan", ())
    assert (None, "open-world") in clip.decision.labels
    released = clip.save(tmp_path / "boat.mp4")
    assert verify(released.path).recognised


@pytest.mark.usefixtures("allowed")
def test_a_causal_model_streams_and_goes_on_from_what_is_given(folder):
    config = replace(CONFIG, block_slots=3, capabilities=frozenset({Capability.HISTORY, Capability.PROMPTS}))
    model = load(folder, tiny_release(config, "self-forcing", guidance=(1.0,)))
    given = torch.linspace(0, 1, 96).expand(9, 3, 64, 96).clone()
    timeline = Timeline.extend(given, PROMPT, after=24, fps=16)
    timeline = replace(timeline, prompts=(*timeline.prompts, PromptSpan("snow at sunset", 20)))
    made = generate(timeline, model=model, seed=1)
    assert len(made.frames_THWC) == 33
    assert np.array_equal(made.frames_THWC[:9], (given * 255).round().byte().permute(0, 2, 3, 1).numpy())


@pytest.mark.usefixtures("allowed")
def test_what_a_model_cannot_do_is_said(folder):
    model, given = load(folder, tiny_release()), torch.rand(9, 3, 64, 96)
    for request, error in (
        ({"request": PROMPT, "size": (16, 16)}, "each side has 32 to 512 pixels; ask for 32x32"),
        (
            {"request": Timeline.extend(given, PROMPT, after=8, fps=16)},
            "was not trained to continue",
        ),
        ({"request": PROMPT, "seconds": 1, "size": (64, 96), "steps": 0}, "steps is 0"),
    ):
        with pytest.raises(RequestError, match=error):
            generate(**request, model=model)
    short = load(folder, replace(release := tiny_release(), target=replace(release.target, frames=17)))
    with pytest.raises(RequestError, match=r"32 frames are more than .* at once, which is 17 \(1.1 s\); ask for fewer"):
        generate(PROMPT, model=short, seconds=2, size=(64, 96))
    few = load(folder, tiny_release(method="fastwan", guidance=(1.0,)))
    with pytest.raises(RequestError, match="distilled to sample in 3 steps; leave --steps out"):
        generate(PROMPT, model=few, seconds=0.5, size=(64, 96), steps=5)


@torch.no_grad()
def test_weights_of_8_bits_make_nearly_the_same_latents(folder):
    timeline = Timeline.from_text(PROMPT, num_frames=9, fps=16, size=(64, 96))
    latents = []
    for kind in (None, KINDS["int8"]):
        model = load(folder, tiny_release(), kind=kind)
        conditions = conditions_of(timeline, model, 7)
        detail = model.experts(4.0, conditions, "").detail
        latents.append(sample_jointly(detail, conditions, replace(model.sampler, first_steps=4)))
    error = (latents[1] - latents[0]).norm() / latents[0].norm()
    assert 0 < error < 0.02


def test_a_step_that_has_no_room_is_said(folder, monkeypatch):
    model = load(folder, release := tiny_release())
    conditions = conditions_of(Timeline.from_text(PROMPT, num_frames=9, fps=16, size=(64, 96)), model, 7)
    model.experts(4.0, conditions, "")
    monkeypatch.setattr("kinemark.wan.load.free_memory", lambda _device: 4 * release.parameters + 1000)
    tight = load(folder, tiny_release())
    with pytest.raises(FailureError, match=r"a step of tiny-wan needs 0.0 GB at this size and length, and cpu has"):
        tight.experts(4.0, conditions, "")


def test_too_little_memory_is_said_before_it_is_taken(folder, monkeypatch):
    assert free_memory(CPU) > 1e8
    monkeypatch.setattr("kinemark.wan.load.free_memory", lambda _device: 5e9)
    large = replace(RELEASES["wan2.1-14b"], name="large")
    with pytest.raises(FailureError, match=r"large needs \d\d\.\d GB for its weights, and cpu has 5\.0 GB free"):
        load(folder, large)


def test_a_folder_of_another_model(folder):
    with pytest.raises(RequestError, match="is not tiny-wan: it has width 48, 2 layers, 16 channels"):
        load(folder, tiny_release(replace(CONFIG, layers=3)))
    (other := folder.parent / "other").mkdir()
    tiny_folder(other, replace(CONFIG, in_channels=12, out_channels=12))
    with pytest.raises(FailureError, match="has 12 channels, and tiny-wan takes 16; it belongs to another model"):
        load_wan(tiny_release(), folder, other, "0" * 64, name="tiny-wan", device=CPU)


def test_a_model_is_found_by_its_name(folder, monkeypatch):
    """Pulled or imported, with the text encoder and autoencoder of another where it has none."""
    from kinemark.wan.store import Record, write_record

    settings = load_settings()
    monkeypatch.setitem(RELEASES, "tiny-wan", tiny_release())
    monkeypatch.setitem(RELEASES, "tiny-causal", tiny_release(base="tiny-wan"))
    with pytest.raises(RequestError, match="not on this machine; bring it here: kinemark models pull tiny-wan"):
        catalogue.find_model("tiny-wan").load()
    with pytest.raises(RequestError, match=r"unknown model 'tiny-wann' \(did you mean tiny-wan"):
        catalogue.find_model("tiny-wann")
    causal = settings.models_dir / "mine"
    causal.mkdir(parents=True)
    for part in ("transformer",):
        (causal / part).symlink_to(folder / part)
    write_record(causal, Record("tiny-causal", "a test", "none", "1" * 64))
    with pytest.raises(RequestError, match="mine uses the text encoder and the autoencoder of tiny-wan"):
        catalogue.load_model("mine")
    (settings.models_dir / "tiny-wan").symlink_to(folder)
    write_record(folder, Record("tiny-wan", "a test", "none", "2" * 64))
    assert catalogue.find_model("mine").target.fps == 16
    model = catalogue.load_model("mine")
    assert (model.name, model.weights_digest) == ("mine", "1" * 64)
