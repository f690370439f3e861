"""From a request to a clip, with a tiny model: every part is real, and its weights are random."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
import torch

import kinemark
from kinemark.clips import Clip
from kinemark.errors import RefusedError, RequestError
from kinemark.generate import generate, parse_size
from kinemark.model.tokenizer import MAX_WORDS
from kinemark.model.transformer import Transformer
from kinemark.safety.decision import digest_frames
from kinemark.settings import Settings
from kinemark.spark import spark_model
from kinemark.timeline import Capability, Card, Kept, Timeline, video_from_frames
from tiny_models import tiny_model, tiny_networks

PROMPT = "a red sailboat drifts right across the sea at sunset"
SMALL = {"size": (128, 128), "steps": 2}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def capable():
    """The same, and said to be trained for everything."""
    return tiny_model(frozenset(Capability))


@pytest.fixture(scope="module")
def clip(model):
    return generate(PROMPT, model=model, seconds=1.5, seed=7, **SMALL)


def pixels(frames, size=(128, 128)):
    """Given frames: coloured gradients that move."""
    height, width = size
    ramp = torch.linspace(0, 1, width).expand(frames, 3, height, width).clone()
    return torch.stack([ramp[t].roll(4 * t, dims=2) for t in range(frames)])


def as_bytes(video_TCHW):
    return (video_TCHW * 255).round().byte().permute(0, 2, 3, 1).numpy()


# A prompt.


def test_a_prompt_becomes_a_clip_that_was_judged(clip):
    assert clip.frames_THWC.shape == (12, 128, 128, 3)
    assert clip.frames_THWC.dtype == np.uint8
    assert (clip.fps, clip.prompt, clip.model, clip.seed) == (8, PROMPT, "tiny", 7)
    assert clip.decision.allow
    assert clip.decision.frames_digest == digest_frames(clip.frames_THWC)
    assert {judgement.gate for judgement in clip.decision.judgements} == {"prompt", "decode", "flash", "content"}
    assert len(clip.understood) == 1
    assert set(clip.understood[0].choices) >= {"setting", "subject", "colour"}


def test_a_seed_is_a_clip(model, clip):
    again = generate(PROMPT, model=model, seconds=1.5, seed=7, **SMALL)
    other = generate(PROMPT, model=model, seconds=1.5, seed=8, **SMALL)
    assert np.array_equal(again.frames_THWC, clip.frames_THWC)
    assert not np.array_equal(other.frames_THWC, clip.frames_THWC)


def test_without_a_seed_one_is_drawn_and_told(model):
    first, second = (generate(PROMPT, model=model, seconds=0.1, **SMALL) for _ in range(2))
    assert first.seed != second.seed
    again = generate(PROMPT, model=model, seconds=0.1, seed=first.seed, **SMALL)
    assert np.array_equal(again.frames_THWC, first.frames_THWC)


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"), [(4.0, 8, 32), (0.125, 8, 1), (0.01, 8, 1), (1, 10, 10), (0.7, 8, 6)]
)
def test_a_clip_has_the_frames_that_were_asked(model, seconds, fps, frames):
    made = generate(PROMPT, model=model, seconds=seconds, fps=fps, seed=1, size="128x128", steps=1)
    assert len(made.frames_THWC) == frames


def test_a_size_off_the_grid_is_run_larger_and_cropped(model):
    made = generate(PROMPT, model=model, seconds=0.1, seed=1, size="200x144", steps=1)
    assert made.frames_THWC.shape == (1, 144, 200, 3)


def test_guidance_and_steps_matter(model, clip):
    for change in ({"guidance": 1.0}, {"steps": 3}):
        other = generate(PROMPT, model=model, seconds=1.5, seed=7, **(SMALL | change))
        assert not np.array_equal(other.frames_THWC, clip.frames_THWC)


def test_a_negative_prompt_leads_away_from_what_it_says(model):
    timeline = Timeline.from_text("a boat at sea", num_frames=8, fps=8, size=(128, 128))
    plain, away, as_plain = (
        generate(replace(timeline, negative_prompt=text), model=model, seed=5, guidance=3.0)
        for text in ("", "snow", "")
    )
    assert (plain.frames_THWC == as_plain.frames_THWC).all()
    assert (plain.frames_THWC != away.frames_THWC).any()
    assert away.prompt == "a boat at sea"


def test_what_is_left_out_is_judged_with_what_is_shown(model):
    allowed = Timeline.from_text("a woman dances on the beach", num_frames=8, fps=8, size=(128, 128))
    with pytest.raises(RefusedError, match="sexual"):
        generate(replace(allowed, negative_prompt="clothes"), model=model, guidance=3.0)


def test_without_guidance_a_negative_prompt_would_change_nothing(model):
    timeline = Timeline.from_text("a boat", num_frames=8, fps=8, size=(128, 128))
    with pytest.raises(RequestError, match=r"guidance 1\).* a negative prompt changes nothing"):
        generate(replace(timeline, negative_prompt="snow"), model=model, guidance=1.0)
    with pytest.raises(RequestError, match="at most"):
        generate(replace(timeline, negative_prompt="snow " * (MAX_WORDS + 1)), model=model, guidance=3.0)


def test_progress_is_told_and_nothing_is_printed(model, capfd):
    told = []

    def progress(stage, step, total, preview=None):
        told.append((stage, step, total, None if preview is None else tuple(preview().shape)))

    generate(PROMPT, model=model, seconds=1, seed=1, progress=progress, **SMALL)
    sampled = [entry for entry in told if entry[0] == "sample"]
    # For each of three slots two steps on small latents, then one at full size.
    assert [entry[1:3] for entry in sampled] == [(step, 9) for step in range(1, 10)]
    assert [entry[3] for entry in sampled] == ([(1, 3, 16, 16)] * 2 + [(1, 3, 32, 32)]) * 3
    assert list(dict.fromkeys(entry[0] for entry in told)) == ["load", "sample"]
    assert capfd.readouterr() == ("", "")


# Given frames.


def test_an_image_is_animated_and_kept(model):
    image_TCHW = pixels(1)
    made = generate(Timeline.from_image(image_TCHW[0], PROMPT, num_frames=9, fps=8), model=model, seed=1, steps=2)
    assert np.array_equal(made.frames_THWC[:1], as_bytes(image_TCHW))
    assert len(made.frames_THWC) == 9
    assert made.decision.allow
    assert (None, "given-frames") in made.decision.labels
    assert "violence" in made.decision.unseen, "nobody has looked for it in what was given"


@pytest.mark.parametrize("length", [1, 5, 6, 7, 8])
def test_a_clip_is_extended_and_kept_to_the_byte(model, clip, length):
    given_THWC = clip.frames_THWC[:length]
    timeline = Timeline.extend(video_from_frames(given_THWC), PROMPT, after=6, fps=8)
    made = generate(timeline, model=model, seed=2, steps=2)
    assert np.array_equal(made.frames_THWC[:length], given_THWC)
    assert len(made.frames_THWC) == length + 6


VERBS = {
    "extend backward": lambda: Timeline.extend(pixels(6), PROMPT, before=5, fps=8),
    "connect": lambda: Timeline.connect(pixels(5), pixels(4), PROMPT, gap=5, fps=8),
    "loop": lambda: Timeline.loop(pixels(9), PROMPT, seam=4, fps=8),
    "blend": lambda: Timeline.blend(pixels(9), pixels(9).flip(0), PROMPT, fps=8),
    "remix": lambda: Timeline.remix(pixels(9), PROMPT, strength="subtle", fps=8),
    "recut": lambda: Timeline.recut(pixels(9), PROMPT, kept=[Kept(0, 3, 0), Kept(5, 9, 10)], num_frames=16, fps=8),
    "storyboard": lambda: Timeline.storyboard(
        [Card(0, PROMPT), Card(6, video_TCHW=pixels(1)), Card(9, "a bird flies over the snow at dawn")],
        num_frames=13,
        fps=8,
        size=(128, 128),
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_runs_on_a_model_that_can_and_keeps_what_is_kept(capable, verb):
    timeline = VERBS[verb]()
    made = generate(timeline, model=capable, seed=3, steps=2)
    assert len(made.frames_THWC) == timeline.num_frames
    for known in timeline.knowns:
        given_THWC = as_bytes(known.video_TCHW)
        for frame in range(known.start, known.stop):
            if known.cap(frame) == 0:
                assert np.array_equal(made.frames_THWC[frame], given_THWC[frame - known.start])
    assert len(made.understood) == len(timeline.prompts)


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_refuses_what_it_was_not_trained_for(model, verb):
    with pytest.raises(RequestError, match=r"tiny was not trained to .*; it can: continue frames that are given"):
        generate(VERBS[verb](), model=model, seed=3, steps=2)


def test_knowns_of_a_size_off_the_grid_are_kept(model):
    video_TCHW = pixels(4, (140, 150))
    made = generate(Timeline.extend(video_TCHW, PROMPT, after=3, fps=8), model=model, seed=1, steps=1)
    assert made.given[0].start == 0
    assert made.given[0].how == "kept"
    assert np.array_equal(made.frames_THWC[:4], as_bytes(video_TCHW))


# Requests that cannot be carried out, and those that are refused.


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"request": ""}, "the prompt is empty"),
        ({"request": "  \n"}, "the prompt is empty"),
        ({"request": "boat " * (MAX_WORDS + 1)}, f"has {MAX_WORDS + 1} words; at most {MAX_WORDS}"),
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": -1.0}, "seconds is -1"),
        ({"seconds": 61}, "at most 60 seconds"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"fps": 0}, "from 1 to 30"),
        ({"fps": 31}, "from 1 to 30"),
        ({"fps": 7.5}, "fps is 7.5"),
        ({"size": (64, 64)}, "ask for 128x128"),
        ({"size": "1920x1080"}, "size 1920x1080 is out of range for tiny: .* ask for 512x512"),
        ({"size": "256"}, "write WIDTHxHEIGHT"),
        ({"size": "256xabc"}, "write WIDTHxHEIGHT"),
        ({"size": "-256x256"}, "write WIDTHxHEIGHT"),
        ({"size": (256,)}, "height, width"),
        ({"size": (256.0, 256.0)}, "two whole numbers"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": 201}, "from 1 to 200"),
        ({"guidance": float("nan")}, "guidance is nan"),
        ({"guidance": -1.0}, "guidance is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"model": "sora"}, "unknown model 'sora'; the models are: spark"),
        ({"request": Timeline.from_text(PROMPT, num_frames=600, fps=8, size=(128, 128))}, "longer than 60 seconds"),
        ({"request": Timeline.from_text(PROMPT, num_frames=9, fps=0, size=(128, 128))}, "fps is 0"),
    ],
)
def test_impossible_requests_say_what_to_do(model, change, says):
    arguments = {"request": PROMPT, "model": model, "seed": 1} | change
    with pytest.raises(RequestError, match=says):
        generate(arguments.pop("request"), **arguments)


def test_a_refused_prompt_costs_no_compute():
    with pytest.raises(RefusedError) as refused:
        generate("a nude child", model="never-loaded.safetensors")
    assert not refused.value.decision.allow
    assert refused.value.exit_code == 3


def test_output_that_is_no_picture_is_refused():
    networks = tiny_networks()
    new = Transformer(networks.config).eval()  # it predicts zero: a grey screen
    grey = spark_model(replace(networks, transformer=new))
    with pytest.raises(RefusedError, match="output stage"):
        generate(PROMPT, model=grey, seed=1, seconds=0.5, **SMALL)


@pytest.mark.parametrize(
    ("size", "expected"), [("256x144", (144, 256)), (" 256X144 ", (144, 256)), ((144, 256), (144, 256))]
)
def test_sizes_are_read(size, expected):
    assert parse_size(size) == expected


# A file.


def test_a_clip_is_saved_through_release(clip, tmp_path):
    released = clip.save(tmp_path / "boat.mp4", settings=Settings(home=tmp_path / "home"))
    assert released.path.is_file()
    assert released.path.stat().st_size > 1000
    assert released.id


# The package.


def in_a_new_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, kinemark; dir(kinemark); print([m for m in ('torch', 'numpy', 'av', 'c2pa') if m in sys.modules])"
    )
    assert in_a_new_process(code) == "[]"
    code = "import sys; from kinemark import Timeline; Timeline.from_text('p', num_frames=9, fps=8, size=(8, 8)); "
    assert in_a_new_process(code + "print('torch' in sys.modules)") == "False"


@pytest.mark.slow
def test_generate_can_be_called_whatever_was_imported_before():
    code = (
        "import kinemark; print(callable(kinemark.generate), callable(kinemark.generate), kinemark.generate.__name__)"
    )
    assert in_a_new_process(code).startswith("True True")
    assert callable(kinemark.generate)
    with pytest.raises(RequestError, match="the prompt is empty"):
        kinemark.generate("")
    with pytest.raises(RequestError, match="the prompt is empty"):
        sys.modules["kinemark.generate"]("")


def test_public_names_are_there():
    assert kinemark.__version__ == version("kinemark")
    assert kinemark.Clip is Clip
    for name in kinemark.__all__:
        assert getattr(kinemark, name) is not None
        assert name in dir(kinemark)
    with pytest.raises(AttributeError, match="no attribute 'sora'"):
        kinemark.sora  # noqa: B018


def test_a_timeline_that_generates_nothing_is_refused(model):
    # Its file would say of real footage that a model made it.
    with pytest.raises(RequestError, match="nothing would be generated"):
        generate(Timeline.extend(pixels(5), PROMPT, fps=8), model=model, seed=1, steps=1)
