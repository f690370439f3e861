"""Models of others that write and describe: over real HTTP, and from a folder."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent / "safety" / "classifiers"))
from served import served

from kinemark.assistants import load_assistants
from kinemark.errors import FailureError, RequestError


def reply(text):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice]}).encode()


def assistants(folder, text):
    (folder / "assistants.toml").write_text(text)
    return load_assistants(folder / "assistants.toml")


def test_without_a_file_there_are_none(tmp_path):
    found = load_assistants(tmp_path / "assistants.toml")
    assert found.expand is None
    assert found.describe is None


def test_a_language_model_says_a_prompt_at_length(tmp_path):
    with served() as server:
        server.raw = reply(" A red boat\n at noon, under a clear sky. ")
        (tmp_path / "key").write_text("secret\nrest")
        found = assistants(tmp_path, f'[expand]\nurl = "{server.url}"\nmodel = "m"\nkey_file = "key"\n')
        assert found.expand("a red boat") == "A red boat at noon, under a clear sky."
        path, body, headers = server.asked[0]
    assert (path, body["model"], headers["Authorization"]) == ("/v1/chat/completions", "m", "Bearer secret")
    assert body["messages"][-1] == {"role": "user", "content": "a red boat"}


def test_a_vision_language_model_is_shown_the_frames(tmp_path):
    with served() as server:
        server.raw = reply("A grey field.")
        found = assistants(tmp_path, f'[caption]\nurl = "{server.url}"\nmodel = "v"\n')
        assert found.describe(np.zeros((5, 16, 16, 3), np.uint8)) == "A grey field."
        content = server.asked[0][1]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 5 + ["text"]


def test_a_model_in_a_folder_describes_a_frame(tmp_path):
    """BLIP of two layers with random weights: what it says means nothing, and the way there is real."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
        PreTrainedTokenizerFast,
    )

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "boat", "field", "grey"]
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", bos_token="[CLS]", eos_token="[SEP]",
    )  # fmt: skip
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(words), "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    torch.manual_seed(0)
    config = BlipConfig(
        text_config=size | text | {"encoder_hidden_size": 16, "max_position_embeddings": 80},
        vision_config=size | {"image_size": 32, "patch_size": 16}, projection_dim=16, image_text_hidden_size=16,
    )  # fmt: skip
    BlipForConditionalGeneration(config).save_pretrained(tmp_path / "blip")
    processor = BlipProcessor(BlipImageProcessor(size={"height": 32, "width": 32}), tokenizer)
    processor.save_pretrained(tmp_path / "blip")
    found = assistants(tmp_path, '[caption]\nfolder = "blip"\n')
    told = found.describe(np.zeros((3, 32, 32, 3), np.uint8))
    assert set(told.split()) <= set(words)


@pytest.mark.parametrize(
    "text",
    [
        "[expand]\nurl = 'ftp://x'\nmodel = 'm'",
        "[expand]\nmodel = 'm'",
        "[other]\nx = 1",
        "[expand",
        "[caption]\nx = 1",
    ],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path, text):
    with pytest.raises(RequestError, match=r"assistants\.toml"):
        assistants(tmp_path, text)


def test_a_folder_without_a_model_is_told(tmp_path):
    found = assistants(tmp_path, '[caption]\nfolder = "nothing"\n')
    with pytest.raises(FailureError, match="cannot load the captioner"):
        found.describe(np.zeros((1, 32, 32, 3), np.uint8))
