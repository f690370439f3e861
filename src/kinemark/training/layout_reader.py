"""Training of the layout reader, on rendered slots whose layout is known.

It reads what is given to the model, so the prompt may say less than the picture shows, or something else.

Shape suffixes: N slots, S subjects, K values of a layout, V those and presence, M cells of the map, C channels,
H W size, L D text tokens.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange, repeat
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

from kinemark.model.layout import LAYOUT, stilled
from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig, cell_centres
from kinemark.model.planner import to_values
from kinemark.model.scene_code import UNSPECIFIED, scene_code
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.optim import warmed_cosine
from kinemark.training.stream import as_layout, build_pool
from kinemark.worlds.render import render
from kinemark.worlds.spec import COLUMN, SceneBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Generator, Tensor

    from kinemark.training.stream import Pool

#: Sizes (height, width) at which slots are rendered, before they are brought to the reader's.
SIZES: Final = ((64, 64), (64, 64), (40, 64), (64, 40), (36, 64))
#: A subject less of which is visible than this share of the picture is not there.
_LEAST_SEEN: Final = 0.002
_MINUTE: Final = 60 * SPARK_FPS


@dataclass(frozen=True, slots=True)
class LayoutReaderRecipe:
    """Everything that decides what the reader learns.

    Attributes:
        steps: updates; `batch` slots in each.
        learning_rate: AdamW's, after `warmup` steps, falling to zero by a cosine.
        stills: share of batches of single frames.
        cut: share of slots of which only a half without subjects is shown: there may be nothing to find.
        text_dropout: share of empty prompts; `other_text`: of prompts of another scene.
        pool: scenes that slots are drawn from; `pool_steps`: steps until new ones are.
    """

    steps: int = 1500
    batch: int = 64
    learning_rate: float = 2e-3
    warmup: int = 100
    stills: float = 0.4
    cut: float = 0.12
    text_dropout: float = 0.15
    other_text: float = 0.1
    pool: int = 4096
    pool_steps: int = 500
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Slots:
    """What the reader learns from: slots, their layout, scene tokens and aspect.

    `ordered_N`: whether there is one subject, or the prompt says which is the first.
    """

    slot_NCHW: Tensor
    layout_NSK: Tensor
    text_NLD: Tensor
    aspect_N: Tensor
    ordered_N: Tensor

    def chosen(self, which_N: Tensor) -> Slots:
        """Only these."""
        return Slots(**{field.name: getattr(self, field.name)[which_N] for field in fields(self)})


def train_layout_reader(
    recipe: LayoutReaderRecipe, report: Callable[[str], None] = print, config: LayoutReaderConfig | None = None
) -> LayoutReader:
    """Train from scratch; the same recipe gives the same weights."""
    torch.manual_seed(recipe.seed)
    reader = LayoutReader(config or LayoutReaderConfig())
    generator = torch.Generator().manual_seed(recipe.seed)
    optimiser = torch.optim.AdamW(reader.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = warmed_cosine(optimiser, recipe.steps, recipe.warmup)
    rng, losses = random.Random(recipe.seed), []
    pool = None
    for step in range(recipe.steps):
        if pool is None or step % recipe.pool_steps == 0:
            pool = build_pool(recipe.pool, recipe.seed * 1_000_003 + step, torch.device("cpu"))
        slots = draw_slots(recipe, pool, rng.choice(SIZES), generator, still=rng.random() < recipe.stills)
        loss = reader_loss(reader, slots, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 250 == 0:
            report(f"step {step + 1} loss {sum(losses) / len(losses):.4f}")
            losses.clear()
    return reader.eval()


def draw_slots(
    recipe: LayoutReaderRecipe, pool: Pool, size: tuple[int, int], generator: Generator, *, still: bool
) -> Slots:
    """Draw scenes of a pool at times in the first minute, and show a slot of each."""
    count = recipe.batch
    pick_N = torch.randint(len(pool.scenes), (count,), generator=generator)
    scenes = SceneBatch(pool.scenes.codes_BA[pick_N], torch.randint(1 << 48, (count,), generator=generator))
    end_N1 = torch.randint(FRAMES_PER_SLOT, _MINUTE, (count, 1), generator=generator)
    frames_NT = end_N1 if still else end_N1 + torch.arange(1 - FRAMES_PER_SLOT, 1)
    shown = render(scenes, frames_NT / SPARK_FPS, size)
    layout_NSK = as_layout(shown.state_BSTK[:, :, -1])
    if still:
        layout_NSK = stilled(layout_NSK[:, :, None], torch.ones(1, dtype=torch.bool))[:, :, 0]
    video_NTCHW = shown.video_BTCHW.expand(-1, FRAMES_PER_SLOT, -1, -1, -1) if still else shown.video_BTCHW
    mask_NHW = shown.subject_mask_BTHW.amax(1)
    unseen_N = mask_NHW.mean(dim=(1, 2)) < _LEAST_SEEN
    slot_NCHW, empty_N = _cut(video_NTCHW, mask_NHW, torch.rand(count, generator=generator) < recipe.cut)
    layout_NSK = torch.where((empty_N | unseen_N)[:, None, None], torch.nan, layout_NSK)

    chance_N1 = torch.rand(count, 1, generator=generator)
    said_NL = torch.where(chance_N1 < 0.25, pool.next_said_BL[pick_N], pool.said_BL[pick_N])
    said_NL = torch.where(chance_N1 > 1 - recipe.text_dropout, UNSPECIFIED, said_NL)
    other_N1 = torch.rand(count, 1, generator=generator) < recipe.other_text
    said_NL = torch.where(other_N1, said_NL.roll(1, 0), said_NL)
    ordered_N = _tells_apart(said_NL, scenes.codes_BA)
    return Slots(
        slot_NCHW=slot_NCHW,
        layout_NSK=layout_NSK,
        text_NLD=scene_code()[torch.arange(said_NL.shape[1]), said_NL],
        aspect_N=torch.full((count,), size[1] / size[0]),
        ordered_N=ordered_N,
    )


def _cut(video_NTCHW: Tensor, mask_NHW: Tensor, cut_N: Tensor) -> tuple[Tensor, Tensor]:
    """Slots, some of them halves without subjects; and which show none for that reason."""
    height, width = mask_NHW.shape[-2:]
    slot_NCHW = rearrange(video_NTCHW, "N T C H W -> N (T C) H W") * 2 - 1
    shown = slot_NCHW.clone()
    empty_N = torch.zeros_like(cut_N)
    halves = (
        (slice(0, height // 2), slice(None)),
        (slice(height // 2, None), slice(None)),
        (slice(None), slice(0, width // 2)),
        (slice(None), slice(width // 2, None)),
    )
    for rows, columns in halves:
        bare_N = cut_N & ~empty_N & (mask_NHW[:, rows, columns].amax(dim=(1, 2)) == 0)
        half = functional.interpolate(slot_NCHW[bare_N][:, :, rows, columns], (height, width), mode="bilinear")
        shown[bare_N] = half
        empty_N |= bare_N
    return shown, empty_N


def _tells_apart(said_NL: Tensor, codes_NA: Tensor) -> Tensor:
    """Whether there is one subject, or the prompt names both, so that they have an order."""
    first, second = (said_NL[:, COLUMN[name]] == codes_NA[:, COLUMN[name]] for name in ("subject", "second_subject"))
    return (codes_NA[:, COLUMN["second_subject"]] < 0) | (first & second)


def reader_loss(reader: LayoutReader, slots: Slots, generator: Generator) -> Tensor:
    """Errors of the map, of the values and of presence; where the prompt gives no order, in the better of both.

    What is looked at closely is near the truth, as far off as the map is.
    """
    error_N = _errors(reader, slots, generator)
    open_N = ~slots.ordered_N
    if open_N.any():
        crossed = replace(slots.chosen(open_N), layout_NSK=slots.layout_NSK[open_N].flip(1))
        error_N = error_N.masked_scatter(open_N, torch.minimum(error_N[open_N], _errors(reader, crossed, generator)))
    return error_N.mean()


def _errors(reader: LayoutReader, slots: Slots, generator: Generator) -> Tensor:
    layout_NSK = slots.layout_NSK
    place_NSX = layout_NSK[..., :2].nan_to_num(0.5).clamp(0, 1)
    off_NSX = 0.02 * torch.randn(place_NSX.shape, generator=generator)
    found = reader(slots.slot_NCHW, slots.text_NLD, slots.aspect_N, place_NSX + off_NSX)
    truth_NSV = to_values(layout_NSK)
    there_NS = truth_NSV[..., -1] > 0
    side = round(found.heat_NSM.shape[-1] ** 0.5)
    cells_MX = cell_centres(found.heat_NSM.new_empty(1, 1, side, side))
    cell_NS = (place_NSX[:, :, None] - cells_MX).square().sum(-1).argmin(-1)
    map_NS = functional.cross_entropy(rearrange(found.heat_NSM, "N S M -> N M S"), cell_NS, reduction="none")
    inner = slice(0, LAYOUT.index("facing"))
    value_NS = functional.smooth_l1_loss(
        found.values_NSV[..., inner], truth_NSV[..., inner], reduction="none", beta=0.2
    ).sum(-1)
    facing_NS, present_NS = (
        functional.binary_cross_entropy_with_logits(
            found.values_NSV[..., column], (truth_NSV[..., column] > 0).float(), reduction="none"
        )
        for column in (LAYOUT.index("facing"), len(LAYOUT))
    )
    return ((0.3 * map_NS + 2 * value_NS + facing_NS) * there_NS + present_NS).sum(-1)


def accuracy(reader: LayoutReader, recipe: LayoutReaderRecipe, *, batches: int = 10) -> dict[str, float]:
    """How well the first subject is read where subjects have an order: median errors, and shares that are right."""
    generator = torch.Generator().manual_seed(recipe.seed + 1)
    pool = build_pool(512, recipe.seed + 77, torch.device("cpu"))
    sums: dict[str, list[Tensor]] = {}
    for number in range(batches):
        slots = draw_slots(recipe, pool, SIZES[number % len(SIZES)], generator, still=number % 2 == 1)
        still_F = torch.tensor([number % 2 == 1])
        with torch.no_grad():
            layout_NSK = reader.read(slots.slot_NCHW[:, :, None], repeat(slots.text_NLD, "N L D -> N 1 L D"), still_F)[
                :, :, 0
            ]
        truth, read = slots.layout_NSK[slots.ordered_N][:, 0], layout_NSK[slots.ordered_N][:, 0]
        there, seen = truth[:, 0].isfinite(), read[:, 0].isfinite()
        sums.setdefault("presence", []).append((there == seen).float())
        both = there & seen
        for index, name in enumerate(LAYOUT):
            sums.setdefault(name, []).append((truth[both, index] - read[both, index]).abs())
    figures = {name: torch.cat(parts) for name, parts in sums.items()}
    report = {name: float(values.median()) for name, values in figures.items() if name not in ("presence", "facing")}
    return report | {
        "presence": float(figures["presence"].mean()),
        "facing": float((figures["facing"] < 1).float().mean()),
    }


def save_layout_reader(path: Path, reader: LayoutReader, recipe: LayoutReaderRecipe) -> None:
    """Write the weights (float32 safetensors); the header says the configuration and the recipe."""
    facts = {"config": asdict(reader.config), "recipe": asdict(recipe)}
    save_file(reader.state_dict(), path, {name: json.dumps(value) for name, value in facts.items()})


def load_layout_reader(path: Path) -> LayoutReader:
    """Read what `save_layout_reader` wrote, ready to read."""
    with safe_open(path, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    reader = LayoutReader(LayoutReaderConfig.from_json(config))
    reader.load_state_dict(load_file(path))
    return reader.eval()
