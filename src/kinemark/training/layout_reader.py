"""Training of the layout reader, on rendered slots whose layout is known.

It reads what is given to the model, so the prompt may say less than the picture shows, or something else.

Shape suffixes: N slots, S subjects, K values of a layout, V those and presence, M cells of the map, C channels,
H W size, L D text tokens.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange, repeat
from torch.nn import functional

from kinemark.model.layout import LAYOUT, stilled
from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig, cell_centres
from kinemark.model.planner import to_values
from kinemark.model.scene_code import NUM_VALUES, UNSPECIFIED, scene_code
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.optim import warmed_cosine
from kinemark.training.stream import as_layout, build_pool
from kinemark.worlds.render import render
from kinemark.worlds.spec import ATTRIBUTES, COLUMN, SceneBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from kinemark.training.stream import Pool

#: Sizes (height, width) at which slots are rendered, before they are brought to the reader's.
SIZES: Final = ((64, 64), (64, 64), (40, 64), (64, 40), (36, 64))
#: The smallest part of a side that is shown of a slot that is seen again.
_LEAST_SHOWN: Final = 0.65
#: A subject less of which is visible than this share of the picture is not there.
_LEAST_SEEN: Final = 0.002
#: How far off the map is, in widths and heights: mostly near, in some share far.
_NEAR, _FAR, _FAR_SHARE = 0.02, 0.07, 0.3
_MINUTE: Final = 60 * SPARK_FPS
#: What is said of a picture, and of its mirror image.
_IN_A_MIRROR: Final = {"left": "right", "right": "left", "pan left": "pan right", "pan right": "pan left"}


@dataclass(frozen=True, slots=True)
class LayoutReaderRecipe:
    """Everything that decides what the reader learns.

    Attributes:
        steps: updates; `batch` slots in each.
        reuse: how often a rendered batch is shown, each time another part of it, and now and then mirrored; it comes
            again among the last `kept` of them.
        learning_rate: AdamW's, after `warmup` steps, falling to zero by a cosine.
        stills: share of batches of single frames.
        cut: share of slots of which only a half without subjects is shown: there may be nothing to find.
        text_dropout: share of empty prompts; `other_text`: of prompts of another scene.
        pool: scenes that slots are drawn from; `pool_steps`: steps until new ones are.
    """

    steps: int = 4000
    batch: int = 64
    reuse: int = 5
    kept: int = 100
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
    """What the reader learns from: slots, their layout, what their prompts say (`scene_code.value_codes`) and aspect.

    `ordered_N`: whether there is one subject, or the prompt says which is the first.
    """

    slot_NCHW: Tensor
    layout_NSK: Tensor
    said_NL: Tensor
    aspect_N: Tensor
    ordered_N: Tensor

    @property
    def text_NLD(self) -> Tensor:  # noqa: N802  the suffix says the shape
        """Scene tokens of what is said."""
        return scene_code()[torch.arange(self.said_NL.shape[1]), self.said_NL]

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
    pool, kept = None, deque[Slots](maxlen=recipe.kept)
    for step in range(recipe.steps):
        if pool is None or step % recipe.pool_steps == 0:
            pool = build_pool(recipe.pool, recipe.seed * 1_000_003 + step, torch.device("cpu"))
        if step % recipe.reuse == 0:
            still = rng.random() < recipe.stills
            kept.append(draw_slots(recipe, pool, rng.choice(SIZES), generator, still=still))
        slots = rng.choice(kept) if step % recipe.reuse else kept[-1]
        loss = reader_loss(reader, varied(slots, rng), generator)
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
        said_NL=said_NL,
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


def varied(slots: Slots, rng: random.Random) -> Slots:
    """The same slots, of which a part is shown, and half of the time as in a mirror."""
    height, width = slots.slot_NCHW.shape[-2:]
    share_Y, share_X = (rng.uniform(_LEAST_SHOWN, 1) for _ in range(2))
    top, left = (rng.uniform(0, 1 - share) for share in (share_Y, share_X))
    rows, columns = (
        slice(round(begin * side), max(round(begin * side) + 1, round((begin + share) * side)))
        for begin, share, side in ((top, share_Y, height), (left, share_X, width))
    )
    part_NCHW = slots.slot_NCHW[:, :, rows, columns]
    shown_height, shown_width = part_NCHW.shape[-2:]
    x, y, size, vx, vy, facing = slots.layout_NSK.unbind(-1)
    scale_x, scale_y = width / shown_width, height / shown_height
    x, y = (x - columns.start / width) * scale_x, (y - rows.start / height) * scale_y
    seen = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    layout_NSK = torch.stack([x, y, size * scale_y, vx * scale_x, vy * scale_y, facing], dim=-1)
    layout_NSK = torch.where(seen[..., None], layout_NSK, torch.nan)
    shown = replace(
        slots,
        slot_NCHW=part_NCHW,
        layout_NSK=layout_NSK,
        aspect_N=slots.aspect_N * (shown_width / width) / (shown_height / height),
    )
    return mirrored(shown) if rng.random() < 0.5 else shown


def mirrored(slots: Slots) -> Slots:
    """The same slots as in a mirror; what is said to be left is right there."""
    middle, sign = (
        slots.layout_NSK.new_tensor([values.get(name, usual) for name in LAYOUT])
        for values, usual in (({"x": 1.0}, 0.0), ({"x": -1.0, "vx": -1.0, "facing": -1.0}, 1.0))
    )
    said_NL = slots.said_NL.clone()
    for name in ("direction", "second_direction", "camera"):
        column, values = COLUMN[name], ATTRIBUTES[COLUMN[name]].values
        seen_V = torch.arange(NUM_VALUES)
        seen_V[: len(values)] = torch.tensor([values.index(_IN_A_MIRROR.get(value, value)) for value in values])
        said_NL[:, column] = seen_V[said_NL[:, column]]
    return replace(
        slots,
        slot_NCHW=slots.slot_NCHW.flip(-1),
        layout_NSK=middle + sign * slots.layout_NSK,
        said_NL=said_NL,
    )


def _tells_apart(said_NL: Tensor, codes_NA: Tensor) -> Tensor:
    """Whether there is one subject, or the prompt names both, so that they have an order."""
    first, second = (said_NL[:, COLUMN[name]] == codes_NA[:, COLUMN[name]] for name in ("subject", "second_subject"))
    return (codes_NA[:, COLUMN["second_subject"]] < 0) | (first & second)


def reader_loss(reader: LayoutReader, slots: Slots, generator: Generator) -> Tensor:
    """Errors of the map, of the values and of presence; where the prompt gives no order, in the better of both.

    What is looked at closely is near the truth, as far off as the map is: mostly little.
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
    far_NS1 = torch.rand(*place_NSX.shape[:2], 1, generator=generator) < _FAR_SHARE
    off_NSX = torch.where(far_NS1, _FAR, _NEAR) * torch.randn(place_NSX.shape, generator=generator)
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
