"""Training of the text encoder: read the scene out of its caption, and nothing out of anything else.

The stream is endless and exact: random scenes (never a held-out composition) with captions in every style, roughened
with slips of the finger and foreign words, and mixed with text that says nothing. About four minutes on one core.

Shape suffixes: B batch, A attribute, V value.
"""

from __future__ import annotations

import random
import re
import string
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange

from kinemark.model.scene_code import value_codes
from kinemark.model.text import TextConfig, TextEncoder, text_config
from kinemark.model.tokenizer import MAX_WORDS, SPECIAL, UNKNOWN, load_vocabulary, split_words, tokenize_words
from kinemark.training.foreign import FUNCTION_WORDS, foreign_noun, foreign_word, irrelevant_sentence
from kinemark.training.optim import warmed_cosine
from kinemark.worlds.captions import STYLES, Caption, caption
from kinemark.worlds.lexicon import NOUNS
from kinemark.worlds.spec import ATTRIBUTES, SceneMix, sample_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

#: More of what is rare in the video mix: second subjects, cameras, looks, changes of light.
TEXT_MIX: Final = SceneMix(one_subject=0.5, plain_look=0.5, static_camera=0.4, constant_time=0.6)
IRRELEVANT: Final = 0.06
EMPTY: Final = 0.01
ROUGH: Final = 0.4
NAMES_OF_KINDS: Final = {kind: re.compile(rf"\b({'|'.join(nouns)})\b", re.IGNORECASE) for kind, nouns in NOUNS.items()}


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """How the text encoder is trained. `pool` batches are drawn at once and sorted by length, to pad little."""

    steps: int = 3000
    batch: int = 48
    pool: int = 16
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.01
    forget_words: float = 0.04
    report_every: int = 200
    seed: int = 0


def clean_captions(rng: random.Random, mix: SceneMix = TEXT_MIX) -> Iterator[Caption]:
    """Captions of random scenes, all styles alike; no scene is a held-out composition."""
    while True:
        yield caption(sample_scene(rng, mix), rng, rng.choice(STYLES))


def rough_captions(rng: random.Random) -> Iterator[Caption]:
    """What the encoder trains on: captions, some of them roughened, and text that says nothing."""
    for clean in clean_captions(rng):
        chance = rng.random()
        if chance < IRRELEVANT:
            yield Caption(irrelevant_sentence(rng), {})
        elif chance < IRRELEVANT + EMPTY:
            yield Caption("", {})
        elif chance < IRRELEVANT + EMPTY + ROUGH:
            yield _roughen(clean, rng)
        else:
            yield clean


def _roughen(clean: Caption, rng: random.Random) -> Caption:
    """Add foreign words, empty words, slips of the finger, or put a foreign noun for the subject's."""
    said = dict(clean.said)
    text = clean.text
    if rng.random() < 0.15 and "subject" in said and "second_subject" not in said:
        text = NAMES_OF_KINDS[said.pop("subject")].sub(foreign_noun(rng), text)
    words = split_words(text)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        extra = foreign_word(rng) if rng.random() < 0.75 else rng.choice(FUNCTION_WORDS)
        words.insert(rng.randint(0, len(words)), extra)
    if rng.random() < 0.5:
        words = [misspelt(word, rng) if rng.random() < 0.2 else word for word in words]
    if rng.random() < 0.1 and len(words) < MAX_WORDS - 16:
        words += ["and", *split_words(irrelevant_sentence(rng))]
    return Caption(" ".join(words[:MAX_WORDS]), said) if len(words) <= MAX_WORDS else clean


def misspelt(word: str, rng: random.Random) -> str:
    """One slip of the finger in a word of at least five letters, unless that makes another known word."""
    if len(word) < 5:
        return word
    at = rng.randrange(1, len(word) - 1)
    letter = rng.choice(string.ascii_lowercase)
    slip = rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word + "s",
        )
    )
    return word if slip in load_vocabulary() else slip


def needed_words(captions: int = 60_000, seed: int = 0) -> list[str]:
    """The words of `captions` random captions and the function words: what `vocabulary.txt` must hold."""
    stream = clean_captions(random.Random(seed))
    words = {word for _ in range(captions) for word in split_words(next(stream).text)}
    return sorted(words | set(FUNCTION_WORDS))


def train_text_encoder(
    recipe: TextRecipe, report: Callable[[str], None] = print, config: TextConfig | None = None
) -> TextEncoder:
    """Train from scratch with AdamW, a linear warm-up and a cosine to zero; the same recipe gives the same weights."""
    torch.manual_seed(recipe.seed)
    encoder = TextEncoder(config or text_config())
    rng = random.Random(recipe.seed)
    optimizer = torch.optim.AdamW(
        encoder.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
    )
    schedule = warmed_cosine(optimizer, recipe.steps, recipe.warmup)
    started, losses = time.monotonic(), []
    for step, batch in zip(range(recipe.steps), _batches(recipe, rng), strict=False):
        loss = caption_loss(encoder, batch, recipe.forget_words)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % recipe.report_every == 0:
            report(f"step {step + 1} loss {sum(losses) / len(losses):.4f} {time.monotonic() - started:.0f} s")
            losses.clear()
    return encoder.eval()


def caption_loss(encoder: TextEncoder, batch: list[Caption], forget_words: float = 0.0) -> Tensor:
    """Mean cross-entropy over all attributes; a share of the words is known by its letters only."""
    words = tokenize_words([split_words(text.text) for text in batch])
    forgotten_BL = (torch.rand(words.ids_BL.shape) < forget_words) & (words.ids_BL >= SPECIAL)
    words.ids_BL.masked_fill_(forgotten_BL, UNKNOWN)
    logits_BAV = encoder(words)
    targets_BA = value_codes([text.said for text in batch])
    return F.cross_entropy(rearrange(logits_BAV, "b a v -> (b a) v"), targets_BA.flatten())


def _batches(recipe: TextRecipe, rng: random.Random) -> Iterator[list[Caption]]:
    stream = rough_captions(rng)
    while True:
        pool = sorted((next(stream) for _ in range(recipe.batch * recipe.pool)), key=lambda text: text.text.count(" "))
        batches = [pool[start : start + recipe.batch] for start in range(0, len(pool), recipe.batch)]
        rng.shuffle(batches)
        yield from batches


def text_accuracy(encoder: TextEncoder, n: int = 2000, seed: int = 10**6) -> dict[str, float]:
    """The share of fresh captions read right: for each attribute (value or unspecified alike), and "all" of them."""
    stream = clean_captions(random.Random(seed))
    captions = [next(stream) for _ in range(n)]
    right_BA = encoder.probabilities([c.text for c in captions]).argmax(-1) == value_codes([c.said for c in captions])
    rates = right_BA.float().mean(0).tolist()
    return {a.name: rate for a, rate in zip(ATTRIBUTES, rates, strict=True)} | {
        "all": right_BA.all(1).float().mean().item()
    }
