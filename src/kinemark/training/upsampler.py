"""Training of spark's learned upsampler: crops of rendered clips, from exact and from imperfect latents.

A part of every batch passes through a `training.degrade.Degrade` first, because the decoder will meet what a
transformer made, not exact means of pixels. Latents are degraded whole and cropped afterwards, since a transformer
knows whole pictures only.

Shape suffixes: B batch, F slots, T pixel frames, C channels, H W size.
"""

from __future__ import annotations

import json
import math
import pickle
import random
import time
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kinemark.data.manifest import require_manifest
from kinemark.errors import FailureError
from kinemark.model.autoencoder import PATCH, SCALE, Upsampler, UpsamplerConfig, encode
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.degrade import SyntheticFlaws
from kinemark.training.optim import Ema, learning_rate_factor
from kinemark.training.state import Progress, require_minutes
from kinemark.worlds.render import render
from kinemark.worlds.spec import batch_scenes, sample_scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

    from kinemark.training.degrade import Degrade

CLIP_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class UpsamplerRecipe:
    """How an upsampler is trained. Sizes in latent pixels (a quarter of a picture's); crops are whole patches."""

    config: UpsamplerConfig = field(default_factory=UpsamplerConfig)
    size: int = 64
    #: Clips rendered at a time, their length, and for how many steps crops are cut from them.
    clips: int = 16
    slots: int = 2
    pool_steps: int = 50
    #: Crops in a step, and their side.
    crops: int = 6
    crop: int = 24
    #: Share of the crops that come from degraded latents.
    degraded: float = 0.6
    #: Share of the steps in which the first frame is given: what is made after a photo takes its detail from it.
    kept: float = 0.5
    lr: float = 3e-3
    ema: float = 0.99
    #: Weights of the loss: pixels, edges (spatial differences), and temporal differences over the whole crop.
    pixel: float = 0.45
    edge: float = 0.45
    temporal: float = 0.10
    device: str = "cpu"
    save_minutes: float = 2.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Whole rendered clips: exact and degraded latents, pixels, and where the first subject is (0..1, NaN: nowhere)."""

    exact_BCFHW: Tensor
    flawed_BCFHW: Tensor
    video_BTCHW: Tensor
    focus: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Crops:
    """Latents, the pixels that they should become, and whether the first frame of these is given."""

    latent_BCFHW: Tensor
    video_BTCHW: Tensor
    kept: bool


def build_pool(recipe: UpsamplerRecipe, degrade: Degrade, seed: int, number: int) -> Pool:
    """Render and degrade the clips of a pool: a pure function of its arguments."""
    rng = random.Random(f"upsampler/{seed}/{number}")
    generator = torch.Generator(recipe.device).manual_seed(rng.getrandbits(48))
    scenes = [sample_scene(rng) for _ in range(recipe.clips)]
    frames = 1 + FRAMES_PER_SLOT * (recipe.slots - 1)
    starts = [rng.uniform(0, CLIP_SECONDS - (frames - 1) / SPARK_FPS) for _ in scenes]
    time_BT = torch.tensor([[start + frame / SPARK_FPS for frame in range(frames)] for start in starts])
    pixels = SCALE * recipe.size
    with torch.no_grad():
        rendered = render(batch_scenes(scenes).to(recipe.device), time_BT.to(recipe.device), (pixels, pixels))
        exact_BCFHW = encode(rendered.video_BTCHW)
        flawed_BCFHW = degrade(exact_BCFHW, scenes, generator)
    focus = tuple((x, y) for x, y in rendered.state_BSTK[:, 0, frames // 2, :2].tolist())
    return Pool(exact_BCFHW, flawed_BCFHW, rendered.video_BTCHW, focus)


def draw_crops(recipe: UpsamplerRecipe, pool: Pool, seed: int, step: int) -> Crops:
    """Cut the crops of a step, half of them around a subject: a pure function of its arguments."""
    rng = random.Random(f"upsampler/{seed}/step/{step}")
    latents, videos = [], []
    for _ in range(recipe.crops):
        clip = rng.randrange(recipe.clips)
        source_BCFHW = pool.flawed_BCFHW if rng.random() < recipe.degraded else pool.exact_BCFHW
        x, y = pool.focus[clip] if rng.random() < 0.5 else (math.nan, math.nan)
        left, top = _crop_start(recipe, x, rng), _crop_start(recipe, y, rng)
        rows, columns = slice(top, top + recipe.crop), slice(left, left + recipe.crop)
        latents.append(source_BCFHW[clip, :, :, rows, columns])
        rows, columns = (slice(SCALE * part.start, SCALE * part.stop) for part in (rows, columns))
        videos.append(pool.video_BTCHW[clip, :, :, rows, columns])
    return Crops(torch.stack(latents), torch.stack(videos), kept=rng.random() < recipe.kept)


def endless_latents(recipe: UpsamplerRecipe, degrade: Degrade, seed: int = 1) -> Iterator[Tensor]:
    """The latents of crops without end, `latent_BCFHW`, on the grid of patches."""
    for step in count():
        if step % recipe.pool_steps == 0:
            pool = build_pool(recipe, degrade, seed, step // recipe.pool_steps)
        yield draw_crops(recipe, pool, seed, step).latent_BCFHW


def _crop_start(recipe: UpsamplerRecipe, centre: float, rng: random.Random) -> int:
    """Where a crop begins along one axis, on the grid of patches: around `centre` (0..1), or anywhere if it is NaN."""
    last = (recipe.size - recipe.crop) // PATCH
    if math.isnan(centre):
        return PATCH * rng.randint(0, last)
    return PATCH * min(max(round((centre * recipe.size - recipe.crop / 2) / PATCH), 0), last)


def reconstruction_loss(recipe: UpsamplerRecipe, output_BTCHW: Tensor, video_BTCHW: Tensor) -> dict[str, Tensor]:
    """The terms of the loss, unweighted: Charbonnier on pixels, L1 on spatial and on temporal differences.

    Charbonnier (arXiv 1710.01992, section 3.3) is an L1 that is smooth near zero; spatial differences count edges more
    than flat colour, so that they come out crisp; temporal differences punish flicker.
    """
    error_BTCHW = output_BTCHW - video_BTCHW
    terms = {
        "pixel": (error_BTCHW.square() + 1e-6).sqrt().mean(),
        "edge": error_BTCHW.diff(dim=-1).abs().mean() + error_BTCHW.diff(dim=-2).abs().mean(),
        "temporal": error_BTCHW.diff(dim=1).abs().mean(),
    }
    return terms | {
        "loss": recipe.pixel * terms["pixel"] + recipe.edge * terms["edge"] + recipe.temporal * terms["temporal"]
    }


@dataclass(frozen=True, slots=True)
class Quality:
    """How a decoded clip compares with the truth.

    Attributes:
        psnr: in dB, pixels in [0, 1].
        sharpness: mean size of spatial differences, relative to the truth's; below 1 is blurred.
        flicker: mean size of the error of temporal differences, in steps of an 8-bit pixel.
        consistency: PSNR in dB between the decoded clip, encoded again, and the truth, encoded.
    """

    psnr: float
    sharpness: float
    flicker: float
    consistency: float


def measure(decoded_BTCHW: Tensor, truth_BTCHW: Tensor) -> Quality:
    """Compare a decoded clip with the truth, both in [0, 1] and T = 1 + 4k frames long."""

    def psnr(error: Tensor) -> float:
        return -10 * math.log10(max(error.square().mean().item(), 1e-12))

    def edges(video_BTCHW: Tensor) -> float:
        return (video_BTCHW.diff(dim=-1).abs().mean() + video_BTCHW.diff(dim=-2).abs().mean()).item()

    error_BTCHW = decoded_BTCHW - truth_BTCHW
    return Quality(
        psnr=psnr(error_BTCHW),
        sharpness=edges(decoded_BTCHW) / max(edges(truth_BTCHW), 1e-12),
        flicker=255 * error_BTCHW.diff(dim=1).abs().mean().item() if error_BTCHW.shape[1] > 1 else 0.0,
        consistency=psnr((encode(decoded_BTCHW) - encode(truth_BTCHW)) / 2),
    )


class UpsamplerRun:
    """An upsampler in training with its optimiser, its average and its progress."""

    def __init__(self, recipe: UpsamplerRecipe, seed: int) -> None:
        torch.manual_seed(seed)
        self.recipe = recipe
        self.upsampler = Upsampler(recipe.config).to(recipe.device)
        self.optimiser = torch.optim.AdamW(
            self.upsampler.parameters(), lr=recipe.lr, betas=(0.9, 0.98), weight_decay=0.0
        )
        self.ema = Ema(self.upsampler, recipe.ema)
        self.progress = Progress(seed=seed)
        self._pool: tuple[int, Pool] | None = None

    def step(self, degrade: Degrade) -> dict[str, float]:
        """Do one update; return the terms of the loss and the learning rate's factor."""
        progress, number = self.progress, self.progress.step // self.recipe.pool_steps
        if self._pool is None or self._pool[0] != number:
            self._pool = number, build_pool(self.recipe, degrade, progress.seed, number)
            progress.clips = (number + 1) * self.recipe.clips
        crops = draw_crops(self.recipe, self._pool[1], progress.seed, progress.step)
        kept_BCHW = crops.video_BTCHW[:, 0] if crops.kept else None
        output_BTCHW = self.upsampler(crops.latent_BCFHW, kept_BCHW)
        terms = reconstruction_loss(self.recipe, output_BTCHW, crops.video_BTCHW)
        self.optimiser.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.upsampler.parameters(), 1.0)
        factor = learning_rate_factor(progress.step - progress.cycle_step, progress.fraction, warmup=50, decay=0.4)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.lr * factor
        self.optimiser.step()
        self.ema.update(self.upsampler)
        progress.step += 1
        return {name: float(term.detach()) for name, term in terms.items()} | {"lr_factor": factor}

    def averaged(self) -> Upsampler:
        """The upsampler with averaged weights: the one to use."""
        upsampler = Upsampler(self.recipe.config)
        upsampler.load_state_dict({name: value.cpu() for name, value in self.ema.values.items()})
        return upsampler.eval()

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on, whole or not at all."""
        state = {
            "upsampler": self.upsampler.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema.values,
            "ema_updates": self.ema.updates,
            "progress": asdict(self.progress),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Take up a saved state; FailureError if it is damaged or belongs to another size."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            self.upsampler.load_state_dict(state["upsampler"])
            self.optimiser.load_state_dict(state["optimiser"])
            for name, value in state["ema"].items():
                self.ema.values[name].copy_(value)
            self.ema.updates = state["ema_updates"]
            self.progress = Progress(**state["progress"])
        except (RuntimeError, KeyError, TypeError, ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise FailureError(
                f"{path} is not a training state that fits this recipe ({str(error).partition(chr(10))[0]}); "
                "move it away to start anew, or use the recipe that wrote it"
            ) from error


def train_upsampler(
    minutes: float,
    out: Path,
    *,
    recipe: UpsamplerRecipe | None = None,
    degrade: Degrade | None = None,
    start: dict[str, Tensor] | None = None,
    seed: int = 0,
    log_every: int = 20,
) -> Upsampler:
    """Train for so many minutes, and write the averaged weights (float32 safetensors) to `out`.

    Beside `out` lie the state of the run (`.state.pt`) and its log (`.jsonl`). A run that was stopped goes on at its
    next step; a finished one is continued with a warm restart.

    Args:
        minutes: length of a new cycle, more than 0.
        out: where the weights go.
        recipe: sizes, shares and weights.
        degrade: how latents are made imperfect; `SyntheticFlaws()` by default.
        start: weights to begin with where there is no state.
        seed: of a new run.
        log_every: steps between lines of the log.

    Raises:
        RequestError: minutes are not a positive number, or the data may not be trained on.
        FailureError: there is no manifest of the training data that fits, or the state does not fit.
    """
    require_minutes(minutes)
    manifest = require_manifest()
    out.parent.mkdir(parents=True, exist_ok=True)
    state_path = state_of(out)
    run = UpsamplerRun(recipe or UpsamplerRecipe(), seed)
    if state_path.exists():
        run.load(state_path)
    elif start is not None:
        run.upsampler.load_state_dict(start)
        run.ema = Ema(run.upsampler, run.recipe.ema)
    if run.progress.fraction >= 1:
        run.progress.begin_cycle(minutes)
    try:
        _run_cycle(run, degrade or SyntheticFlaws(), state_path, out.with_suffix(".jsonl"), log_every)
    finally:
        run.save(state_path)
    upsampler = run.averaged()
    facts = {
        "config": json.dumps(asdict(upsampler.config)),
        "recipe": json.dumps(asdict(run.recipe)),
        "data": manifest.sources[0].generator_sha256,
        "steps": str(run.progress.step),
    }
    save_upsampler(out, upsampler, facts)
    return upsampler


def state_of(out: Path) -> Path:
    """Where the state of a training lies whose weights go to `out`."""
    return out.with_suffix(".state.pt")


def save_upsampler(out: Path, upsampler: nn.Module, facts: Mapping[str, str]) -> None:
    """Write weights (float32 safetensors) with these facts in the header, whole or not at all."""
    partial = out.with_suffix(".partial")
    tensors = {name: value.contiguous() for name, value in upsampler.state_dict().items()}
    save_file(tensors, partial, metadata=dict(facts))
    partial.replace(out)


def metadata_of(path: Path) -> dict[str, str]:
    """The facts in the header of such a file."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _run_cycle(run: UpsamplerRun, degrade: Degrade, state_path: Path, log_path: Path, log_every: int) -> None:
    progress, last = run.progress, time.perf_counter()
    saved, sums = progress.seconds, dict[str, float]()
    while progress.fraction < 1:
        for name, value in run.step(degrade).items():
            sums[name] = sums.get(name, 0.0) + value / log_every
        now = time.perf_counter()
        progress.seconds += now - last
        progress.cycle_seconds += now - last
        last = now
        if progress.step % log_every == 0:
            line = {"step": progress.step, "minutes": round(progress.seconds / 60, 3), "clips": progress.clips}
            with log_path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line | {name: round(value, 6) for name, value in sums.items()}) + "\n")
            sums = {}
        if progress.seconds - saved > 60 * run.recipe.save_minutes:
            run.save(state_path)
            saved = progress.seconds
