"""Prompts are read as diffusers' pipeline reads them, once, and never cut."""

import pytest
import torch
from diffusers import WanPipeline
from transformers import AutoTokenizer, UMT5EncoderModel

from kinemark.errors import FailureError, RequestError
from kinemark.wan.text import LENGTH, WanText, tidied
from tiny_wan import tiny_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("wan"))


@pytest.fixture
def text(folder):
    return WanText(folder, torch.device("cpu"), dtype=torch.float32)


def test_equals_diffusers(folder, text):
    prompts = ["a red boat drifts", " the  sea &amp;amp; snow\n", ""]
    pipeline = WanPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(folder / "text_encoder"),
        vae=None,
        scheduler=None,
        transformer=None,
    )
    expected = pipeline._get_t5_prompt_embeds(prompts, max_sequence_length=LENGTH)
    torch.testing.assert_close(text.encode(prompts), expected, atol=1e-5, rtol=1e-4)


def test_a_prompt_is_read_once(text, monkeypatch):
    read = []
    encode = WanText._encode
    monkeypatch.setattr(WanText, "_encode", lambda self, new: read.append(new) or encode(self, new))
    first = text.encode(["a red boat", "the sea"])
    assert torch.equal(text.encode(["the sea", "a  red boat"]), first.flip(0))
    assert read == [["a red boat", "the sea"]]
    along = WanText(text.folder, text.device, ("snow",), torch.float32)
    along.encode(["a boat"])
    along.encode(["snow"])
    assert read[1:] == [["a boat", "snow"]]


def test_a_prompt_that_is_too_long_is_refused(text):
    text.check("boat " * (LENGTH - 1))
    with pytest.raises(RequestError, match=f"has {LENGTH + 1} tokens; at most {LENGTH} are read: shorten it"):
        text.check("boat " * LENGTH)


def test_parts_that_are_missing(tmp_path):
    text = WanText(tmp_path, torch.device("cpu"))
    with pytest.raises(FailureError, match=r"no tokenizer in .*pull the model again"):
        text.check("a boat")
    with pytest.raises(FailureError, match=r"no text encoder in .*pull the model again"):
        text.encode(["a boat"])


def test_prompts_are_tidied():
    assert tidied("  a &lt;red&gt;\n boat ") == "a <red> boat"
