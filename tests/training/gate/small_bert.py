"""A BERT of two layers with random weights, as sentence-transformers keeps one."""

import torch
from safetensors.torch import save_file

WIDTH, LAYERS = 64, 2
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz,.", "boat", "red", "##s", "the", "man", "on"]


def small_bert(folder):
    """Write the folder and return it."""
    torch.manual_seed(0)
    pieces = [f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join([*WORDS, *pieces]) + "\n", "utf-8")
    tensors = {
        "embeddings.word_embeddings.weight": torch.randn(len(WORDS) + len(pieces), WIDTH),
        "embeddings.position_embeddings.weight": torch.randn(80, WIDTH) * 0.1,
        "embeddings.token_type_embeddings.weight": torch.randn(2, WIDTH) * 0.1,
        **norm("embeddings.LayerNorm"),
    }
    for layer in range(LAYERS):
        place = f"encoder.layer.{layer}"
        for name in ("query", "key", "value"):
            tensors |= linear(f"{place}.attention.self.{name}", WIDTH, WIDTH)
        tensors |= linear(f"{place}.attention.output.dense", WIDTH, WIDTH)
        tensors |= linear(f"{place}.intermediate.dense", WIDTH, 4 * WIDTH)
        tensors |= linear(f"{place}.output.dense", 4 * WIDTH, WIDTH)
        tensors |= norm(f"{place}.attention.output.LayerNorm") | norm(f"{place}.output.LayerNorm")
    save_file(tensors, folder / "model.safetensors")
    return folder


def linear(name, inputs, outputs):
    return {f"{name}.weight": torch.randn(outputs, inputs) * 0.1, f"{name}.bias": torch.randn(outputs) * 0.1}


def norm(name):
    return {f"{name}.weight": 1 + torch.randn(WIDTH) * 0.1, f"{name}.bias": torch.randn(WIDTH) * 0.1}
