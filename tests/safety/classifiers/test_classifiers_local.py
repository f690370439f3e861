"""Classifiers that run here: small ones, trained in a second, through transformers."""

import numpy as np
import pytest
import torch

from kinemark.errors import FailureError
from kinemark.safety.classifiers.local import Guard, Pictures
from kinemark.safety.policy.file import load_policy

POLICY = load_policy()
WORDS = ["<pad>", "<eos>", "<user>", "<guard>", "a", "red", "boat", "they", "kill", "time", "safe", "unsafe", "S1"]
TEMPLATE = (
    "{% for m in messages %}<user> {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}<guard>{% endif %}"
)


@pytest.fixture(scope="module")
def guard(tmp_path_factory) -> Guard:
    """A Llama of two layers that learnt to answer as Llama Guard does."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("guard")
    core = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        rows = []
        for _ in range(32):
            words = rng.choice(["a", "red", "boat", "they", "kill", "time"], 5).tolist()
            answer = ["unsafe", "S1"] if "kill" in words else ["safe", "<eos>"]
            rows.append([WORDS.index(word) for word in ("<user>", *words, "<guard>", *answer, "<eos>")])
        ids = torch.tensor(rows)
        loss = model(ids, labels=torch.where(torch.arange(10) >= 7, ids, -100)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return Guard(folder, "llama-guard")


def test_a_guard_model_judges_through_its_own_template(guard):
    found = guard.prompts(["a red boat a boat", "they kill a red boat", "they a red time boat"], POLICY)
    assert [one.category for one in found] == [None, "violence", None]
    assert guard.prompts(["they kill a red boat"], POLICY) == [found[1]]


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(FailureError, match="cannot load the classifier"):
        Guard(tmp_path, "llama-guard").prompts(["a"], POLICY)


def test_weights_that_could_run_code_are_not_loaded(guard, tmp_path):
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(guard.folder, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(FailureError, match="cannot load the classifier"):
        Guard(folder, "llama-guard").prompts(["a"], POLICY)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A ViT that learnt to tell red pictures from others."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = tmp_path_factory.mktemp("pictures")
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=8,
        id2label={0: "normal", 1: "gore"}, label2id={"normal": 0, "gore": 1},
    )  # fmt: skip
    model = ViTForImageClassification(config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        colour = torch.rand(64, 3) * 2 - 1
        label = (colour[:, 0] > colour[:, 1:].max(dim=1).values).long()
        loss = model(colour[:, :, None, None].expand(64, 3, 16, 16), labels=label).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def test_pictures_are_judged(pictures):
    frames = np.zeros((2, 40, 60, 3), np.uint8)
    frames[0] = (20, 30, 220)
    frames[1] = (230, 20, 20)
    found = Pictures(pictures, {"gore": "violence"}).judge(frames, POLICY)
    assert [(one.action, one.category) for one in found] == [("allow", None), ("refuse", "violence")]


def test_a_label_that_a_model_does_not_have_is_told(pictures):
    with pytest.raises(FailureError, match=r"has no label \['nsfw'\]; it has \['gore', 'normal'\]"):
        Pictures(pictures, {"nsfw": "sexual"}).judge(np.zeros((1, 16, 16, 3), np.uint8), POLICY)
