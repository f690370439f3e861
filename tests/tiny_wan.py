"""A folder of a Wan model as diffusers and transformers write it, tiny and random."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKLWan
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from kinemark.sizes import SizeRange, Target
from kinemark.wan.releases import Release
from wan_like import WAN_LIKE, randomised, reference

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.model.configs import TransformerConfig

WORDS = ("a", "red", "boat", "drifts", "across", "the", "sea", "at", "sunset", "snow")
#: What `tiny_folder` holds: 16 channels, a text encoder of width 8.
CONFIG = replace(WAN_LIKE, width=48, heads=2, ffn=64, in_channels=16, out_channels=16, text_dim=8, text_len=512)
TARGET = Target(fps=16, size=(64, 96), sizes=SizeRange(multiple=16, least=32, most=512))


def tiny_release(config: TransformerConfig = CONFIG, method: str = "wan-480p", **changes: object) -> Release:
    release = Release("tiny-wan", "nobody/tiny-wan", "Apache-2.0", "tests", config, method, TARGET, (4.0,))
    return replace(release, **changes)


def tiny_folder(folder: Path, config: TransformerConfig = CONFIG, experts: int = 1) -> Path:
    """Write a whole model; return the folder."""
    torch.manual_seed(0)
    for number, name in enumerate(("transformer", "transformer_2")[:experts]):
        reference(randomised(config, seed=number, scale=0.05)).save_pretrained(folder / name)
    vae = AutoencoderKLWan(base_dim=8, z_dim=config.out_channels, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    vae.save_pretrained(folder / "vae")
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -4.0)]
    pieces += [(f"\u2581{word}", -1.0) for word in WORDS] + [(letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = Metaspace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder / "tokenizer")
    text = UMT5Config(vocab_size=len(pieces), d_model=config.text_dim, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    UMT5EncoderModel(text).save_pretrained(folder / "text_encoder")
    return folder
