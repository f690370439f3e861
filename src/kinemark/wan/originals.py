"""Folders as Wan publishes them: text encoder and autoencoder are pickles under names of their own.

They are told by their tensors, and written once as diffusers and transformers lay them out.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from transformers import UMT5Config, UMT5EncoderModel
from transformers.utils.logging import disable_progress_bar

from kinemark.errors import FailureError
from kinemark.model.checkpoints import PICKLES, read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

_TEXT: Final = "blocks.0.pos_embedding.embedding.weight"
_AUTOENCODER: Final = "decoder.middle.0.residual.0.gamma"
_LARGE_AUTOENCODER: Final = "decoder.upsamples.0.upsamples.0.residual.0.gamma"
#: UMT5's layers: Wan's names of a block's tensors (`wan/modules/t5.py`) and transformers'.
_LAYERS: Final = {
    **{f"attn.{part}": f"0.SelfAttention.{part}" for part in "qkvo"},
    "pos_embedding.embedding": "0.SelfAttention.relative_attention_bias",
    "norm1": "0.layer_norm",
    "norm2": "1.layer_norm",
    "ffn.gate.0": "1.DenseReluDense.wi_0",
    "ffn.fc1": "1.DenseReluDense.wi_1",
    "ffn.fc2": "1.DenseReluDense.wo",
}
_BLOCK: Final = re.compile(r"blocks\.(\d+)\.(.+)\.weight")


def bring_parts(source: Path, folder: Path) -> None:
    """Write what a folder of Wan's holds beside its transformers into a model's folder.

    A folder that holds nothing else brings nothing; the model then uses the parts of its release.

    Raises:
        FailureError: a part is not whole, or one is there and another is not.
    """
    parts = set()
    for path in sorted(one for one in source.iterdir() if one.suffix in PICKLES):
        tensors = read(path)
        if _TEXT in tensors:
            _save(_text_encoder, tensors, folder / "text_encoder", path)
            parts.add("text encoder")
        elif _AUTOENCODER in tensors:
            _save(_autoencoder, tensors, folder / "vae", path)
            parts.add("autoencoder")
    tokenizer = next((one.parent for one in sorted(source.rglob("tokenizer*.json"))), None)
    if tokenizer is not None:
        shutil.copytree(tokenizer, folder / "tokenizer")
        parts.add("tokenizer")
    missing = {"text encoder", "autoencoder", "tokenizer"} - parts
    if parts and missing:
        raise FailureError(f"{source} has {' and '.join(sorted(parts))}, and no {' and '.join(sorted(missing))}")


def _save(build: Any, tensors: Mapping[str, Tensor], folder: Path, path: Path) -> None:  # noqa: ANN401
    try:
        network, state = build(tensors)
        network.load_state_dict(state, strict=True, assign=True)
    except (RuntimeError, KeyError, IndexError) as error:
        raise FailureError(f"{path} is not whole ({str(error).splitlines()[-1].strip()}); download it again") from error
    disable_progress_bar()
    network.save_pretrained(folder)


def _text_encoder(tensors: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    blocks: dict[str, Tensor] = {}
    layers = 0
    for key, tensor in tensors.items():
        if found := _BLOCK.fullmatch(key):
            blocks[f"encoder.block.{found[1]}.layer.{_LAYERS[found[2]]}.weight"] = tensor
            layers = max(layers, int(found[1]) + 1)
    words = tensors["token_embedding.weight"]
    buckets, heads = tensors[_TEXT].shape
    config = UMT5Config(
        vocab_size=words.shape[0],
        d_model=words.shape[1],
        d_kv=tensors["blocks.0.attn.q.weight"].shape[0] // heads,
        d_ff=tensors["blocks.0.ffn.fc1.weight"].shape[0],
        num_layers=layers,
        num_heads=heads,
        relative_attention_num_buckets=buckets,
    )
    with torch.device("meta"):
        network = UMT5EncoderModel(config)
    whole = {"shared.weight": words, "encoder.embed_tokens.weight": words}
    return network, blocks | whole | {"encoder.final_layer_norm.weight": tensors["norm.weight"]}


def _autoencoder(tensors: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    if _LARGE_AUTOENCODER in tensors:
        raise KeyError("the autoencoder of Wan 2.2's small model is taken from its release: models pull wan2.2-5b")
    with torch.device("meta"):
        network = AutoencoderKLWan(
            base_dim=tensors["encoder.conv1.weight"].shape[0], z_dim=tensors["conv2.weight"].shape[0]
        )
    return network, convert_wan_vae_to_diffusers(dict(tensors))
