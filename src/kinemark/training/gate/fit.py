"""Fitting the prompt gate's reader.

    python -m kinemark.training.gate.fit --base FOLDER --public FOLDER --out FOLDER [--device cuda]

The encoder learns slowly and the head fast; every epoch types every prompt anew (`prompts.disguised`), and writes the
templates out anew. With `--fold` a fifth of our own templates, lines and pairs is left out, and `scores.jsonl` says
what the reader makes of it: thresholds come from there.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import nn

from kinemark.training.gate.encoder import CATEGORIES, Encoder
from kinemark.training.gate.prompts import Labelled, disguised, own, public, usable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

BATCH: Final = 128
_SMOOTHING: Final = 0.03
_CATEGORIES_WEIGHT: Final = 0.3
#: How often a prompt of a source is seen in an epoch, 1 where nothing is said.
_TIMES: Final = {
    "davidson": 0.25,
    "nibbler": 2.0,
    "clear-line": 6.0,
    "near-line": 6.0,
    "ordinary-line": 6.0,
    "picture": 2.0,
    "picture-twin": 2.0,
}
_CHUNK: Final = 24
_TWO_SCENES: Final = 1 / 5
#: A harmless scene that stands before another is short, so that the reader's window reaches the other.
_SHORT: Final = 90


def fit(
    encoder: Encoder,
    base: Sequence[Labelled],
    *,
    epochs: int,
    rate: float,
    seed: int,
    fold: int | None = None,
    skip: frozenset[str] = frozenset(),
) -> None:
    """Train an encoder on our own prompts and on `base`.

    Args:
        encoder: is changed.
        base: prompts of public sets.
        epochs: how often all is seen.
        rate: learning rate of the encoder; the head's is ten times it.
        seed: of everything that is drawn.
        fold: which fifth of our own is left out; None for none.
        skip: sources that are left out.
    """
    rng = random.Random(seed)
    torch.manual_seed(seed)
    head = [*encoder.head.parameters(), *encoder.out.parameters()]
    chosen = {id(parameter) for parameter in head}
    body = [parameter for parameter in encoder.parameters() if id(parameter) not in chosen]
    optimiser = torch.optim.AdamW([{"params": body, "lr": rate}, {"params": head, "lr": 10 * rate}], weight_decay=0.01)
    schedule = None
    encoder.train()
    for epoch in range(epochs):
        prompts = usable([*own(rng, fold=fold), *base])
        seen = [one for one in prompts if one.source not in skip for _ in range(_times(one.source, rng))]
        batches = list(_batches(encoder, seen, rng))
        if schedule is None:
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, [rate, 10 * rate], total_steps=int(1.02 * epochs * len(batches)) + 1, pct_start=0.1
            )
        total, start = 0.0, time.monotonic()
        for encoded, target_NC in batches:
            loss = _loss(encoder(encoded), target_NC.to(encoder.device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(batches):.4f}, {time.monotonic() - start:.0f} s", flush=True)


@torch.no_grad()
def probabilities(encoder: Encoder, prompts: Sequence[str]) -> Tensor:
    """Probabilities [N, C + 1] of each category, and of any."""
    encoder.eval()
    encoded = [encoder.encode(prompt) for prompt in prompts]
    parts = [encoder(encoded[start : start + BATCH]) for start in range(0, len(encoded), BATCH)]
    return torch.cat(parts).sigmoid().cpu()


def _times(source: str, rng: random.Random) -> int:
    times = _TIMES.get(source, 1.0)
    return int(times) + (rng.random() < times % 1)


def _batches(
    encoder: Encoder, prompts: Sequence[Labelled], rng: random.Random
) -> Iterator[tuple[list[list[int]], Tensor]]:
    """Prompts of about one length together, in random order; some with a harmless scene before or after them."""
    calm = [one.prompt for one in prompts if not one.category and len(one.prompt) <= _SHORT]
    shuffled = [(encoder.encode(_among(one.prompt, calm, rng)), one.category) for one in prompts]
    rng.shuffle(shuffled)
    batches = []
    for start in range(0, len(shuffled), BATCH * _CHUNK):
        chunk = sorted(shuffled[start : start + BATCH * _CHUNK], key=lambda pair: len(pair[0]))
        batches += [chunk[at : at + BATCH] for at in range(0, len(chunk), BATCH)]
    rng.shuffle(batches)
    for batch in batches:
        yield [ids for ids, _ in batch], torch.stack([_target(category) for _, category in batch])


def _among(prompt: str, calm: Sequence[str], rng: random.Random) -> str:
    """The prompt as it is typed; one time in six it is one scene of two."""
    text = disguised(prompt, rng)
    if rng.random() > _TWO_SCENES:
        return text
    scenes = [text, rng.choice(calm)]
    rng.shuffle(scenes)
    return ". ".join(scenes)


def _target(category: str) -> Tensor:
    target_C = torch.zeros(len(CATEGORIES) + 1)
    if category:
        target_C[CATEGORIES.index(category)] = 1
        target_C[-1] = 1
    return target_C


def _loss(logits_NC: Tensor, target_NC: Tensor) -> Tensor:
    soft = target_NC * (1 - 2 * _SMOOTHING) + _SMOOTHING
    each = nn.functional.binary_cross_entropy_with_logits(logits_NC, soft, reduction="none")
    return (_CATEGORIES_WEIGHT * each[:, :-1].sum(dim=1) + each[:, -1]).mean()


def _judge(encoder: Encoder, fold: int, path: Path) -> None:
    """Score the prompts that were left out, a line of JSON each."""
    prompts = own(random.Random(1), fold=fold, held=True)
    scores = probabilities(encoder, [one.prompt for one in prompts])[:, -1].tolist()
    lines = [
        json.dumps({"source": one.source, "category": one.category, "prompt": one.prompt, "score": round(score, 4)})
        for score, one in zip(scores, prompts, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Train, write, and judge what was left out."""
    parser = argparse.ArgumentParser(description="Train the prompt gate's reader.")
    parser.add_argument("--base", type=Path, required=True, help="folder of the BERT to start from")
    parser.add_argument("--public", type=Path, required=True, help="folder of the public prompt sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=4e-5)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, choices=range(5), help="leave this fifth of our own out")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--skip", nargs="*", default=[], help="sources to leave out")
    given = parser.parse_args()
    encoder = Encoder(given.base, given.dropout).to(given.device)
    skip = frozenset(given.skip)
    fit(
        encoder, public(given.public), epochs=given.epochs, rate=given.rate, seed=given.seed, fold=given.fold, skip=skip
    )
    encoder.save(given.out)
    if given.fold is not None:
        _judge(encoder, given.fold, given.out / "scores.jsonl")


if __name__ == "__main__":
    main()
