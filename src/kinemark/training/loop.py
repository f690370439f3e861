"""The training loop of spark's transformer: resumable at any step, and the same whatever interrupts it.

Shape suffixes: B batch, F slots, C channels, H W latent size, L tokens, D width.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import torch

from kinemark.model.precision import fast_autocast
from kinemark.model.transformer import Transformer
from kinemark.sampling.flow import noised, per_slot
from kinemark.together import ALONE, Together
from kinemark.training.degrade import arriving_noise
from kinemark.training.objective import clean_loss, draw_sigma, subject_weight
from kinemark.training.optim import Ema, learning_rate_factor, make_optimisers, set_learning_rates
from kinemark.training.state import Trainee, require_minutes
from kinemark.training.stream import Batch, Pool, build_pool, draw_batch, soften, step_generator

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Generator, Tensor

    from kinemark.training.recipes import Recipe

STATE_FILE = "state.pt"
LOG_FILE = "log.jsonl"
#: The log has the mean loss of each of these ranges of noise.
SIGMA_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
GRADIENT_CLIP = 1.0
#: Video tokens that the noise filter is fitted to.
SAMPLE_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class Start:
    """Weights of the transformer to begin with, and a line about where they come from."""

    weights: dict[str, Tensor]
    origin: str


class Observer(Protocol):
    """Told about the run now and then: draws contact sheets, prints, evaluates."""

    def __call__(self, trainee: Trainee, out: Path) -> None:
        """Look at the run; `out` is its folder."""


@dataclass(slots=True)
class _Window:
    """Sums since the last line of the log."""

    started: float = field(default_factory=time.perf_counter)
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, name: str, total: float, count: float = 1.0) -> None:
        self.sums[name] += total
        self.counts[name] += count

    def means(self) -> dict[str, float]:
        return {name: round(self.sums[name] / self.counts[name], 5) for name in self.sums if self.counts[name]}


def build_trainee(recipe: Recipe, seed: int) -> Trainee:
    """Fresh modules and optimisers of a recipe, on its device."""
    torch.manual_seed(seed)
    transformer = Transformer(recipe.config).to(recipe.device)
    others = [module for name, module in transformer.named_children() if name != "blocks"]
    optimisers = make_optimisers(transformer.blocks, others, matrix_lr=recipe.matrix_lr, other_lr=recipe.other_lr)
    # Parameters that belong to the class itself and to none of its children (the head's modulation).
    optimisers[1].add_param_group({"params": list(transformer.parameters(recurse=False))})
    trainee = Trainee(transformer, optimisers, Ema(transformer, recipe.ema))
    trainee.progress.seed = seed
    return trainee


def training_step(
    trainee: Trainee,
    recipe: Recipe,
    batch: Batch,
    generator: Generator,
    lr_factor: float,
    window: _Window,
    together: Together = ALONE,
) -> None:
    """One update: noise the clip, predict it clean, and step.

    Args:
        trainee: modules and optimisers.
        recipe: weights of the terms.
        batch: what to learn from.
        generator: of the step, for noise and noise levels.
        lr_factor: from `learning_rate_factor`.
        window: where the losses are summed for the log.
        together: the processes that step together, each with its own batch.
    """
    clean_BCFHW = batch.clean_BCFHW
    slots = clean_BCFHW.shape[2]
    sigma_BF, learn_BF = draw_sigma(len(clean_BCFHW), slots - batch.leads, batch.noise, generator, batch.past_B)
    sigma_BF = torch.cat([batch.lead_sigma_BA, sigma_BF], 1)
    learn_BF = torch.cat([torch.zeros_like(batch.lead_sigma_BA), learn_BF], 1)
    noise_BCFHW = torch.randn(clean_BCFHW.shape, generator=generator, device=generator.device)
    arriving_BCFHW = arriving_noise(clean_BCFHW, noise_BCFHW, batch.noise.handover, generator)
    # History is what the sampler has finished, so it came from nowhere: plain noise is all that it bears.
    noise_BCFHW = torch.where(per_slot(learn_BF) > 0, arriving_BCFHW, noise_BCFHW)
    x_BCFHW = noised(clean_BCFHW, noise_BCFHW, per_slot(sigma_BF))

    block_F = torch.arange(slots, device=sigma_BF.device)
    with fast_autocast(sigma_BF.device):
        predicted_BCFHW = trainee.transformer(
            x_BCFHW, sigma_BF, batch.text_BLD, time_BF=batch.time_BF, block_F=block_F, condition_BCFHW=batch.map_BCFHW
        )
    weight_BFHW = subject_weight(soften(batch.mask_BFHW), recipe.subject_share)
    loss_BF = clean_loss(predicted_BCFHW.float(), clean_BCFHW, sigma_BF, learn_BF, weight_BFHW)
    loss = loss_BF.sum() / learn_BF.sum().clamp(min=1)
    loss.backward()  # type: ignore[no-untyped-call]
    together.average_gradients(trainee.transformer.parameters())
    norm = torch.nn.utils.clip_grad_norm_(trainee.transformer.parameters(), GRADIENT_CLIP)
    set_learning_rates(trainee.optimisers, lr_factor)
    for optimiser in trainee.optimisers:
        optimiser.step()
        optimiser.zero_grad()
    trainee.ema.update(trainee.transformer)
    _record(window, loss_BF.detach(), sigma_BF, learn_BF, {"norm": float(norm)})


def _record(window: _Window, loss_BF: Tensor, sigma_BF: Tensor, learn_BF: Tensor, scalars: dict[str, float]) -> None:
    window.add("loss", float(loss_BF.sum()), float(learn_BF.sum()))
    for low, high in pairwise(SIGMA_EDGES):
        inside_BF = learn_BF * ((sigma_BF >= low) & (sigma_BF < high))
        window.add(f"loss_sigma_{low:.1f}_{high:.1f}", float((loss_BF * inside_BF).sum()), float(inside_BF.sum()))
    for name, value in scalars.items():
        window.add(name, value)


def train(
    recipe: Recipe,
    out: Path,
    *,
    minutes: float,
    start: Start | None = None,
    seed: int = 0,
    observe: Observer | None = None,
    log_every: int = 25,
    together: Together = ALONE,
) -> Trainee:
    """Train until the present cycle is over, and return the run.

    A cycle that was interrupted is finished first, with the minutes that it has left; otherwise a new one of `minutes`
    begins, from the state in `out`, else from `start`, else from random weights.

    Args:
        recipe: what to learn.
        out: folder of state, log and sheets; made if it is not there.
        minutes: length of a new cycle, more than 0.
        start: what to begin with when `out` holds no state.
        seed: of a new run.
        observe: called every `recipe.sheet_minutes`, and at the end.
        log_every: steps between lines of the log, which tells of the batches of process 0.
        together: the processes that train together. All must see the same `out`, in which process 0 alone writes.

    Raises:
        RequestError: minutes are not a positive number.
        FailureError: the state in `out` does not fit the recipe.
    """
    require_minutes(minutes)
    out.mkdir(parents=True, exist_ok=True)
    trainee = build_trainee(recipe, seed)
    if (out / STATE_FILE).exists():
        trainee.load(out / STATE_FILE)
    else:
        if start is not None:
            trainee.transformer.load_state_dict(start.weights)
            trainee.progress.origin = start.origin
        trainee.transformer.noise_filter.fit(_sample_of_truth(recipe, seed))
        trainee.ema = Ema(trainee.transformer, recipe.ema)
    if trainee.progress.fraction >= 1:
        trainee.progress.begin_cycle(minutes)
    if recipe.compiled:
        for block in trainee.transformer.blocks:
            block.compile(dynamic=True)
    try:
        _run_cycle(trainee, recipe, out, observe, log_every, together)
    finally:
        if together.leads:
            trainee.save(out / STATE_FILE)
    return trainee


def _run_cycle(
    trainee: Trainee, recipe: Recipe, out: Path, observe: Observer | None, log_every: int, together: Together
) -> None:
    progress, device = trainee.progress, torch.device(recipe.device)
    window, last, saved, seen = _Window(), time.perf_counter(), progress.seconds, progress.seconds
    pool, pool_number = _pool(recipe, progress.seed, progress.step, device)
    while progress.fraction < 1:
        if progress.step // recipe.pool_steps != pool_number:
            pool, pool_number = _pool(recipe, progress.seed, progress.step, device)
        generator = step_generator(progress.seed, progress.step, device, together.rank)
        batch = draw_batch(recipe, pool, progress.seed, progress.step, generator)
        factor = learning_rate_factor(progress.step - progress.cycle_step, progress.fraction)
        training_step(trainee, recipe, batch, generator, factor, window, together)
        _count(trainee, recipe, batch, together.count)
        now = time.perf_counter()
        passed, last = together.agreed(now - last), now
        progress.seconds, progress.cycle_seconds = progress.seconds + passed, progress.cycle_seconds + passed
        if not together.leads:
            continue
        if progress.step % log_every == 0:
            _write_log(trainee, window, factor, out)
            window = _Window()
        if progress.seconds - saved > 60 * recipe.save_minutes:
            trainee.save(out / STATE_FILE)
            saved = progress.seconds
        if observe and (progress.seconds - seen > 60 * recipe.sheet_minutes or progress.fraction >= 1):
            observe(trainee, out)
            seen, last = progress.seconds, time.perf_counter()


def _sample_of_truth(recipe: Recipe, seed: int) -> Tensor:
    """Clean latents at the recipe's main size, for the noise filter: a still slot and a moving one of each clip."""
    device = torch.device(recipe.device)
    whole = replace(recipe, scales=recipe.scales[:1], windows=((2, 2),), window_shares=(1.0,), anchored=0.0)
    whole = replace(whole, late=0.0, backward=0.0, changed=0.0, tokens_per_step=SAMPLE_TOKENS)
    pool = build_pool(SAMPLE_TOKENS // 64, seed, device)
    return draw_batch(whole, pool, seed, 0, step_generator(seed, 0, device)).clean_BCFHW


def _pool(recipe: Recipe, seed: int, step: int, device: torch.device) -> tuple[Pool, int]:
    number = step // recipe.pool_steps
    return build_pool(recipe.pool_size, seed * 1_000_003 + number, device), number


def _count(trainee: Trainee, recipe: Recipe, batch: Batch, processes: int) -> None:
    clips, _, slots, height, width = batch.clean_BCFHW.shape
    trainee.progress.step += 1
    trainee.progress.clips += processes * clips
    trainee.progress.tokens += processes * clips * slots * (height // recipe.patch) * (width // recipe.patch)


def _write_log(trainee: Trainee, window: _Window, lr_factor: float, out: Path) -> None:
    progress = trainee.progress
    line = {
        "step": progress.step,
        "minutes": round(progress.seconds / 60, 2),
        "clips": progress.clips,
        "tokens": progress.tokens,
        "lr_factor": round(lr_factor, 4),
        **window.means(),
        "window_seconds": round(time.perf_counter() - window.started, 2),
    }
    with (out / LOG_FILE).open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")
