"""Training of the prompt expander, on pairs of a short and a detailed caption of one scene.

    python -m kinemark.training.expander FILE

Shape suffixes: B batch, L words.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch.nn import functional

from kinemark.model.expander import Expander, expander_config, extra_id, ids_of, prompt_ids
from kinemark.model.tokenizer import PAD
from kinemark.training.optim import warmed_cosine
from kinemark.worlds.captions import caption
from kinemark.worlds.spec import sample_scene

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from kinemark.model.expander import ExpanderConfig


@dataclass(frozen=True, slots=True)
class ExpanderRecipe:
    """Everything that decides what the expander learns.

    Attributes:
        steps: updates; `batch` pairs in each.
        learning_rate: AdamW's, after `warmup` steps, falling to zero by a cosine.
    """

    steps: int = 1200
    batch: int = 64
    learning_rate: float = 2e-3
    warmup: int = 100
    seed: int = 0


def train_expander(
    recipe: ExpanderRecipe, report: Callable[[str], None] = print, config: ExpanderConfig | None = None
) -> Expander:
    """Train from scratch; the same recipe gives the same weights."""
    torch.manual_seed(recipe.seed)
    expander = Expander(config or expander_config())
    rng = random.Random(recipe.seed)
    optimiser = torch.optim.AdamW(expander.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = warmed_cosine(optimiser, recipe.steps, recipe.warmup)
    losses = []
    for step in range(recipe.steps):
        loss = expander_loss(expander, [draw_pair(rng) for _ in range(recipe.batch)])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(expander.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 200 == 0:
            report(f"step {step + 1} loss {sum(losses) / len(losses):.4f}")
            losses.clear()
    return expander.eval()


def draw_pair(rng: random.Random) -> tuple[str, str]:
    """A short and a detailed caption of one scene; the detailed one says at least what the short one does."""
    while True:
        scene = sample_scene(rng)
        short = caption(scene, rng, rng.choice(("short", "short", "paraphrased")))
        for _ in range(4):
            long = caption(scene, rng, "detailed")
            if short.said.keys() <= long.said.keys() and len(long.said) > len(short.said):
                return short.text, long.text


def expander_loss(expander: Expander, pairs: list[tuple[str, str]]) -> Tensor:
    """Cross-entropy of the words of the detailed captions."""
    rows = [(prompt_ids(short), [*ids_of(long), extra_id("<stop>")]) for short, long in pairs]
    longest = min(expander.config.longest, max(len(a) + len(b) for a, b in rows))
    ids_BL = torch.full((len(rows), longest), PAD)
    learn_BL = torch.zeros(len(rows), longest, dtype=torch.bool)
    for row, (begun, told) in enumerate(rows):
        whole = (begun + told)[:longest]
        ids_BL[row, : len(whole)] = torch.tensor(whole)
        learn_BL[row, len(begun) : len(whole)] = True
    logits = expander(ids_BL[:, :-1])
    return functional.cross_entropy(logits[learn_BL[:, 1:]], ids_BL[:, 1:][learn_BL[:, 1:]])


def main() -> None:
    """Train, and write the weights in bfloat16."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", type=int, default=ExpanderRecipe().steps)
    arguments = parser.parse_args()
    expander = train_expander(ExpanderRecipe(steps=arguments.steps))
    weights = {name: value.detach().to(torch.bfloat16).contiguous() for name, value in expander.state_dict().items()}
    save_file(weights, arguments.file)


if __name__ == "__main__":
    main()
