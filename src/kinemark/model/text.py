"""The text encoder: reads which scene a prompt describes, and says it in the code of `scene_code`.

    words -> embeddings -> 2 transformer blocks -> 16 learned queries attend -> logits over each attribute's values
                                                                             -> tokens = softmax(logits) @ code

The tokens that condition the video model are thus means of fixed code vectors, weighted by the reading: as tight as the
reading is sure, the same for every way of saying the same, and halfway between two values where a prompt is.

Shape suffixes: B batch, L words, G letter groups, A attribute, V value, D width, Q queries, N heads,
K width of a head, R relative distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange, repeat
from torch import Tensor, nn

from kinemark.model.scene_code import NUM_VALUES, TEXT_LEN, UNSPECIFIED, scene_code
from kinemark.model.tokenizer import (
    GROUP_BUCKETS,
    MAX_WORDS,
    PAD,
    SPECIAL,
    UnknownWord,
    load_vocabulary,
    split_words,
    tokenize,
    unknown_words,
)
from kinemark.worlds.spec import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinemark.model.tokenizer import Words

#: Prompts encoded at once, sorted by length, so that little is padding.
CHUNK = 32


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the text encoder; `vocabulary` counts the words of `vocabulary.txt`."""

    vocabulary: int
    width: int = 96
    heads: int = 4
    ffn: int = 192
    layers: int = 2


def text_config() -> TextConfig:
    """The configuration that ships: 0.4 million parameters."""
    return TextConfig(vocabulary=len(load_vocabulary()))


@dataclass(frozen=True, slots=True)
class Choice:
    """What a prompt says of one attribute: the value, or None where it says nothing, and how sure the reading is."""

    value: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a prompt: a choice for every attribute, and the words that were not."""

    choices: dict[str, Choice]
    unknown: tuple[UnknownWord, ...]

    @property
    def said(self) -> dict[str, str]:
        """The attributes that the prompt specifies, {name: value}."""
        return {name: choice.value for name, choice in self.choices.items() if choice.value is not None}


def count_words(prompt: str) -> int:
    """How many words the encoder would read; more than `MAX_WORDS` are an error."""
    return len(split_words(prompt))


class Attention(nn.Module):
    """Attention of queries to words, with a learned bias for how far apart they stand (Raffel et al., T5)."""

    def __init__(self, width: int, heads: int, span: int) -> None:
        super().__init__()
        self.heads, self.span = heads, span
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        slopes = torch.linspace(0.0, 1.0, heads)[:, None]
        distance = torch.arange(-span, span + 1).abs()[None]
        self.bias_NR = nn.Parameter(-slopes * distance) if span else None

    def forward(self, x_BQD: Tensor, words_BLD: Tensor, pad_BL: Tensor) -> Tensor:
        """Queries `[B, Q, D]` look at words `[B, L, D]`, except where `pad_BL` is true."""
        q_BNQK = rearrange(self.query(x_BQD), "b q (n k) -> b n q k", n=self.heads)
        k_BNLK, v_BNLK = rearrange(self.key_value(words_BLD), "b l (two n k) -> two b n l k", two=2, n=self.heads)
        bias_BNQL = torch.zeros_like(pad_BL, dtype=q_BNQK.dtype).masked_fill(pad_BL, -torch.inf)[:, None, None]
        if self.bias_NR is not None:
            position = torch.arange(words_BLD.shape[1], device=words_BLD.device)
            apart_LL = (position[None] - position[:, None]).clamp(-self.span, self.span) + self.span
            bias_BNQL = bias_BNQL + self.bias_NR[:, apart_LL]
        else:
            bias_BNQL = bias_BNQL.expand(-1, self.heads, q_BNQK.shape[2], -1)
        mixed_BNQK = F.scaled_dot_product_attention(q_BNQK, k_BNLK, v_BNLK, attn_mask=bias_BNQL)
        return cast("Tensor", self.out(rearrange(mixed_BNQK, "b n q k -> b q (n k)")))


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a norm; `span` = 0 is for queries, which have no position."""

    def __init__(self, config: TextConfig, span: int) -> None:
        super().__init__()
        self.norm_x = nn.LayerNorm(config.width)
        self.norm_words = nn.LayerNorm(config.width) if span == 0 else None
        self.attention = Attention(config.width, config.heads, span)
        self.ffn = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, config.ffn),
            nn.GELU(),
            nn.Linear(config.ffn, config.width),
        )

    def forward(self, x_BQD: Tensor, words_BLD: Tensor | None, pad_BL: Tensor) -> Tensor:
        """`words_BLD` None: the words attend to each other."""
        normed_BQD = self.norm_x(x_BQD)
        source_BLD = normed_BQD if words_BLD is None or self.norm_words is None else self.norm_words(words_BLD)
        x_BQD = x_BQD + self.attention(normed_BQD, source_BLD, pad_BL)
        return cast("Tensor", x_BQD + self.ffn(x_BQD))


class TextEncoder(nn.Module):
    """Prompts in, 16 scene tokens of width 128 out; see the module's docstring."""

    code_AVD: Tensor
    absent_AV: Tensor

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary + SPECIAL, config.width, padding_idx=PAD)
        self.groups = nn.EmbeddingBag(GROUP_BUCKETS, config.width, mode="mean", padding_idx=0)
        self.blocks = nn.ModuleList(Block(config, span=MAX_WORDS // 2) for _ in range(config.layers))
        self.queries_AD = nn.Parameter(torch.randn(TEXT_LEN, config.width) * config.width**-0.5)
        self.readout = Block(config, span=0)
        self.norm = nn.LayerNorm(config.width)
        self.heads_AVD = nn.Parameter(torch.randn(TEXT_LEN, NUM_VALUES, config.width) * config.width**-0.5)
        nn.init.normal_(self.words.weight, std=0.5)
        nn.init.normal_(self.groups.weight, std=0.5)
        code_AVD = scene_code()
        self.register_buffer("code_AVD", code_AVD, persistent=False)
        self.register_buffer("absent_AV", code_AVD.abs().sum(-1) == 0, persistent=False)

    def forward(self, words: Words) -> Tensor:
        """Logits `[B, A, V]` over the values of each attribute; the last is "unspecified"."""
        batch, length = words.ids_BL.shape
        groups_BLD = self.groups(rearrange(words.groups_BLG, "b l g -> (b l) g"))
        x_BLD = self.words(words.ids_BL) + rearrange(groups_BLD, "(b l) d -> b l d", b=batch, l=length)
        pad_BL = words.ids_BL == PAD
        for block in self.blocks:
            x_BLD = block(x_BLD, None, pad_BL)
        x_BAD = self.norm(self.readout(repeat(self.queries_AD, "a d -> b a d", b=batch), x_BLD, pad_BL))
        logits_BAV = torch.einsum("bad,avd->bav", x_BAD, self.heads_AVD)
        return logits_BAV.masked_fill(self.absent_AV, -torch.inf)

    def tokens(self, probabilities_BAV: Tensor) -> Tensor:
        """The scene tokens `[B, 16, 128]` of a reading's probabilities."""
        return torch.einsum("bav,avd->bad", probabilities_BAV, self.code_AVD)

    @torch.no_grad()
    def probabilities(self, prompts: Sequence[str]) -> Tensor:
        """`[B, A, V]`: how sure the encoder is of each value.

        Raises:
            ValueError: a prompt has more than `MAX_WORDS` words.
        """
        device = self.queries_AD.device
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        out_BAV = torch.empty(len(prompts), TEXT_LEN, NUM_VALUES, device=device)
        for start in range(0, len(order), CHUNK):
            chosen = order[start : start + CHUNK]
            words = tokenize([prompts[index] for index in chosen]).to(device)
            out_BAV[chosen] = self(words).float().softmax(-1)
        return out_BAV

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """The scene tokens `[B, 16, 128]` of prompts, mean square about 1; "" is the unconditional prompt.

        Raises:
            ValueError: a prompt has more than `MAX_WORDS` words.
        """
        return self.tokens(self.probabilities(prompts))

    def read(self, prompts: Sequence[str]) -> list[Reading]:
        """What each prompt says, attribute by attribute, and which of its words are not in the vocabulary."""
        best_BA = self.probabilities(prompts).max(-1)
        readings = []
        for prompt, sure_A, code_A in zip(prompts, best_BA.values.tolist(), best_BA.indices.tolist(), strict=True):
            choices = {
                a.name: Choice(None if code == UNSPECIFIED else a.values[code], sure)
                for a, sure, code in zip(ATTRIBUTES, sure_A, code_A, strict=True)
            }
            readings.append(Reading(choices, unknown_words(prompt)))
        return readings
