"""A clip in the making: judged and given out in pieces, and the same as a whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemark.data.video import read_video
from kinemark.errors import RefusedError
from kinemark.generate import begin, generate
from kinemark.provenance.records.ledger import Ledger
from kinemark.safety.decision import digest_frames
from kinemark.settings import load_settings
from kinemark.spark import Packed
from tiny_models import tiny_model

PROMPT = "a red sailboat drifts right across the sea"
ASKED = {"seconds": 2.5, "size": (128, 128), "steps": 1, "seed": 3}


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_blocks_are_the_clip_cut_into_seconds_after_its_first_frame(model):
    take = begin(PROMPT, model=model, **ASKED)
    blocks = list(take.blocks())
    assert [len(block) for block in blocks] == [1, 8, 8, 3]
    whole = generate(PROMPT, model=model, **ASKED)
    assert np.array_equal(np.concatenate(blocks), whole.frames_THWC)
    assert take.gate.decision() == whole.decision
    assert whole.decision.frames_digest == digest_frames(whole.frames_THWC)


def test_a_file_is_made_piece_by_piece(model, tmp_path):
    seen = []
    released = begin(PROMPT, model=model, **ASKED).save(tmp_path / "a.mp4", meanwhile=seen.append)
    whole = generate(PROMPT, model=model, **ASKED)
    assert np.array_equal(np.concatenate(seen), whole.frames_THWC)
    made = read_video(released.path).frames_THWC.astype(int)
    assert np.abs(made - whole.frames_THWC).mean() < 5


def test_a_refusal_on_the_way_leaves_no_file_and_no_entry(model, tmp_path):
    """The decoder breaks in the middle of the clip, and the gates see it."""

    decode, slots = model.autoencoder.decoder((16, 16)), []

    def breaking(latent_BCHW, last_BCHW):
        slots.append(latent_BCHW)
        video_BTCHW = decode(latent_BCHW, last_BCHW)
        return torch.zeros_like(video_BTCHW) if len(slots) > 3 else video_BTCHW

    class Breaking(Packed):
        def decoder(self, latent):
            return breaking

    broken = replace(model, autoencoder=Breaking(model.autoencoder.upsampler))
    seen = []
    with pytest.raises(RefusedError, match="is empty"):
        begin(PROMPT, model=broken, **ASKED).save(tmp_path / "a.mp4", meanwhile=seen.append)
    assert [len(block) for block in seen] == [1, 8]
    assert list(tmp_path.iterdir()) == []
    with Ledger.open(load_settings().ledger_path) as ledger:
        assert ledger._backing._connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)


def test_what_expands_a_prompt_is_judged_too(model):
    told = begin(PROMPT, model=model, **ASKED, expand=lambda text: f"{text} at sunset")
    assert told.prompt == f"{PROMPT} at sunset"
    asked = []
    with pytest.raises(RefusedError):
        begin("a beheaded soldier", model=model, **ASKED, expand=asked.append)
    assert asked == []
    with pytest.raises(RefusedError):
        begin(PROMPT, model=model, **ASKED, expand=lambda text: "a beheaded soldier")
