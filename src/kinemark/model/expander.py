"""A small language model of spark's world: it says a short prompt at length.

DALL-E 3 and Sora have a large language model write out what a short prompt leaves open. This one knows the captions of
the worlds and nothing else: a decoder-only transformer over whole words (Radford et al. 2018), trained on pairs of a
short and a detailed caption of one scene.

    START short caption SAY detailed caption STOP

Shape suffixes: B batch, L words, D width, N heads, E width of a head, V vocabulary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional

from kinemark.model.tokenizer import PAD, SPECIAL, START, UNKNOWN, load_vocabulary, split_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

#: After the words of the vocabulary: what stands between the two captions, the end, and two marks that end clauses.
EXTRA: Final = ("<say>", "<stop>", ",", ".")
_PIECE: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,.]")


@dataclass(frozen=True, slots=True)
class ExpanderConfig:
    """Sizes of the expander."""

    vocabulary: int
    width: int = 144
    heads: int = 4
    layers: int = 4
    longest: int = 128


def expander_config() -> ExpanderConfig:
    """The shipped size, for the shipped vocabulary."""
    return ExpanderConfig(vocabulary=SPECIAL + len(load_vocabulary()) + len(EXTRA))


def extra_id(piece: str) -> int:
    """The identity of one of `EXTRA`."""
    return SPECIAL + len(load_vocabulary()) + EXTRA.index(piece)


def ids_of(text: str) -> list[int]:
    """A text as identities of words and marks; what is not in the vocabulary is `UNKNOWN`."""
    known = load_vocabulary()
    pieces = _PIECE.findall(text.casefold())
    return [extra_id(piece) if piece in EXTRA else known.get(piece, UNKNOWN) for piece in pieces]


def prompt_ids(prompt: str) -> list[int]:
    """A prompt as the expander reads it: its words, without marks."""
    known = load_vocabulary()
    return [START, *(known.get(word, UNKNOWN) for word in split_words(prompt)), extra_id("<say>")]


def text_of(ids: Sequence[int]) -> str:
    """Identities as a text: marks stand right after the word before them, sentences begin with a capital."""
    words = list(load_vocabulary())
    text = ""
    for number in ids:
        piece = EXTRA[number - SPECIAL - len(words)] if number >= SPECIAL + len(words) else words[number - SPECIAL]
        text += piece if piece in ",." else f" {piece}"
    return re.sub(r"(^|\. )(\w)", lambda found: found[1] + found[2].upper(), text.strip().rstrip(",."))


class _Layer(nn.Module):
    """Causal self-attention and feed-forward, each on the normalised residual stream."""

    def __init__(self, config: ExpanderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.into = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.ffn = nn.Sequential(
            nn.LayerNorm(config.width),
            nn.Linear(config.width, 4 * config.width),
            nn.GELU(),
            nn.Linear(4 * config.width, config.width),
        )

    def forward(self, x_BLD: Tensor) -> Tensor:
        q, k, v = rearrange(self.into(self.norm1(x_BLD)), "B L (k N E) -> k B N L E", k=3, N=self.heads)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BLD = x_BLD + self.out(rearrange(attended, "B N L E -> B L (N E)"))
        out: Tensor = x_BLD + self.ffn(x_BLD)
        return out


class Expander(nn.Module):
    """Predicts the next word; see the module's docstring."""

    def __init__(self, config: ExpanderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width, padding_idx=PAD)
        self.places = nn.Parameter(torch.zeros(config.longest, config.width))
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        nn.init.normal_(self.words.weight, std=0.02)
        nn.init.normal_(self.places, std=0.02)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """Logits `[B, L, V]` of the word after each."""
        x_BLD = self.words(ids_BL) + self.places[: ids_BL.shape[1]]
        for layer in self.layers:
            x_BLD = layer(x_BLD)
        return functional.linear(self.norm(x_BLD), self.words.weight)

    @torch.no_grad()
    def say(self, prompt: str, count: int, seed: int, temperature: float = 0.7) -> list[str]:
        """Several ways to say a prompt at length; the same seed gives the same ones.

        Args:
            prompt: at most `MAX_WORDS` words.
            count: how many.
            seed: of the drawing.
            temperature: how freely words are drawn.
        """
        generator = torch.Generator().manual_seed(seed)
        begun = prompt_ids(prompt)
        ids_BL = torch.tensor(begun).expand(count, -1)
        stop = extra_id("<stop>")
        never = [PAD, START, UNKNOWN, extra_id("<say>")]
        while ids_BL.shape[1] < self.config.longest and not (ids_BL[:, len(begun) :] == stop).any(1).all():
            logits_BV = self(ids_BL)[:, -1] / temperature
            logits_BV[:, never] = -torch.inf
            drawn_B1 = torch.multinomial(logits_BV.softmax(-1), 1, generator=generator)
            ids_BL = torch.cat([ids_BL, drawn_B1], dim=1)
        told = [row[len(begun) :] for row in ids_BL.tolist()]
        return [text_of(row[: row.index(stop)]) for row in told if stop in row]
