"""Training of the layout planner, on the tracks of rendered worlds; nothing has to be painted for it.

Shape suffixes: B batch, S subjects, F slots, K values of a layout, V values that are sampled, L D text tokens.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.model.layout import LAYOUT, stilled
from kinemark.model.planner import OVERLAP, WINDOW, LayoutPlanner, PlannerConfig, to_values
from kinemark.model.scene_code import UNSPECIFIED, scene_code
from kinemark.sampling.flow import noised
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.optim import warmed_cosine
from kinemark.training.stream import as_layout, build_pool
from kinemark.worlds.render import states
from kinemark.worlds.spec import ATTRIBUTES, COLUMN, SceneBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from kinemark.training.stream import Pool

#: Below this noise level the velocity-space weight stops growing.
SIGMA_FLOOR: Final = 0.1
SLOT_SECONDS: Final = FRAMES_PER_SLOT / SPARK_FPS
#: Widths over heights that windows are planned for.
ASPECTS: Final = (1.0, 1.6, 0.625, 1.78, 0.5625, 2.0, 0.5)


@dataclass(frozen=True, slots=True)
class PlannerRecipe:
    """Everything that decides what the planner learns.

    Attributes:
        steps: updates; `batch` windows in each.
        learning_rate: AdamW's, after `warmup` steps, falling to zero by a cosine.
        late: share of windows that begin anywhere in the first minute, always with given slots: what goes left by its
            prompt may have turned by then. The others begin a clip.
        given: share of those with given slots.
        turned: share of windows whose first slots followed another prompt: they come from elsewhere.
        arriving: share of the others with given slots in which some later ones are given, as well or alone.
        still: share of them in which the given slots are pictures, which show no velocity.
        jitter: how far off the places and sizes of given slots are, in units of `to_values`: they are read from
            pictures (`model.layout_reader`), which show velocities badly (`velocity_jitter`) and now and then look the
            other way round (`misread`).
        pool: scenes that windows are drawn from.
    """

    steps: int = 6000
    batch: int = 512
    learning_rate: float = 2e-3
    warmup: int = 100
    late: float = 0.4
    given: float = 0.4
    turned: float = 0.15
    arriving: float = 0.6
    still: float = 0.3
    jitter: float = 0.05
    velocity_jitter: float = 0.5
    misread: float = 0.2
    text_dropout: float = 0.05
    pool: int = 8192
    seed: int = 0


def train_planner(
    recipe: PlannerRecipe, report: Callable[[str], None] = print, config: PlannerConfig | None = None
) -> LayoutPlanner:
    """Train from scratch; the same recipe gives the same weights."""
    torch.manual_seed(recipe.seed)
    planner = LayoutPlanner(config or PlannerConfig())
    generator = torch.Generator().manual_seed(recipe.seed)
    pool = build_pool(recipe.pool, recipe.seed, torch.device("cpu"))
    optimiser = torch.optim.AdamW(planner.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = warmed_cosine(optimiser, recipe.steps, recipe.warmup)
    rng, losses = random.Random(recipe.seed), []
    for step in range(recipe.steps):
        windows = draw_windows(recipe, pool, rng.choice(ASPECTS), generator)
        loss = planner_loss(planner, windows, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(planner.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 500 == 0:
            report(f"step {step + 1} loss {sum(losses) / len(losses):.5f}")
            losses.clear()
    return planner.eval()


@dataclass(frozen=True, slots=True)
class Windows:
    """What the planner learns from.

    Attributes:
        values_BSFV: clean windows.
        shown_BSFV: the same as they are shown where they are given.
        text_BLD: scene tokens.
        aspect_B: width of the picture over its height.
        given_BF: which slots are given.
        fresh_B: whether the given slots followed another prompt.
    """

    values_BSFV: Tensor
    shown_BSFV: Tensor
    text_BLD: Tensor
    aspect_B: Tensor
    given_BF: Tensor
    fresh_B: Tensor


def draw_windows(recipe: PlannerRecipe, pool: Pool, aspect: float, generator: Generator) -> Windows:
    """Draw scenes of a pool, at times in the first minute, in pictures of one shape."""
    batch = recipe.batch

    def chance(share: float) -> Tensor:
        return torch.rand(batch, generator=generator) < share

    pick_B = torch.randint(len(pool.scenes), (batch,), generator=generator)
    scenes = SceneBatch(pool.scenes.codes_BA[pick_B], torch.randint(1 << 48, (batch,), generator=generator))
    fresh_B = chance(recipe.turned)
    late_B = chance(recipe.late) & ~fresh_B
    minute = 60 * SPARK_FPS // FRAMES_PER_SLOT - WINDOW
    start_B = torch.where(late_B, torch.randint(minute, (batch,), generator=generator), 0)
    slot_BF = start_B[:, None] + torch.arange(WINDOW)
    layout_BSFK = as_layout(states(scenes, slot_BF * SLOT_SECONDS, aspect))
    before_B = torch.randint(1, OVERLAP + 1, (batch,), generator=generator)
    turned_BSFK = _turned(layout_BSFK, scenes, before_B, aspect, generator)
    layout_BSFK = torch.where(fresh_B[:, None, None, None], turned_BSFK, layout_BSFK)

    continued_B = late_B | fresh_B | chance(recipe.given)
    dropped_B1 = chance(recipe.text_dropout)[:, None]
    said_BL = torch.where(dropped_B1, UNSPECIFIED, pool.said_BL[pick_B])
    values_BSFV = to_values(layout_BSFK)
    seen_BSFK = torch.where(
        chance(recipe.still)[:, None, None, None],
        stilled(layout_BSFK, torch.ones(WINDOW, dtype=torch.bool)),
        layout_BSFK,
    )
    shown_BSFV = _misread(recipe, to_values(seen_BSFK), generator)
    given_BF = _given(before_B, chance(recipe.arriving) & ~fresh_B, generator) & continued_B[:, None]
    return Windows(
        values_BSFV=values_BSFV,
        shown_BSFV=shown_BSFV,
        text_BLD=scene_code()[torch.arange(said_BL.shape[1]), said_BL],
        aspect_B=torch.full((batch,), aspect),
        given_BF=given_BF,
        fresh_B=fresh_B.float(),
    )


def _misread(recipe: PlannerRecipe, values_BSFV: Tensor, generator: Generator) -> Tensor:
    """Given slots as a reader gives them; whether a subject is there, it reads right."""
    off = [recipe.velocity_jitter if name in ("vx", "vy") else recipe.jitter for name in LAYOUT]
    noise_BSFV = torch.randn(values_BSFV.shape, generator=generator) * torch.tensor([*off, 0.0])
    facing = LAYOUT.index("facing")
    noise_BSFV[..., facing] = 0
    turned_BSF = torch.rand(values_BSFV.shape[:-1], generator=generator) < recipe.misread
    read_BSFV = values_BSFV + noise_BSFV * (values_BSFV[..., -1:] > 0)
    read_BSFV[..., facing] = torch.where(turned_BSF, -read_BSFV[..., facing], read_BSFV[..., facing])
    return read_BSFV


def _given(before_B: Tensor, arriving_B: Tensor, generator: Generator) -> Tensor:
    """Which slots `[B, F]` are given: the first ones; where something is arrived at, also or only later ones."""
    batch = len(before_B)
    slot_F = torch.arange(WINDOW)
    prefix_BF = slot_F < before_B[:, None]
    ahead_B1 = torch.randint(1, WINDOW - OVERLAP + 1, (batch, 1), generator=generator)
    length_B1 = torch.randint(1, OVERLAP + 1, (batch, 1), generator=generator)
    later_B1 = before_B[:, None] + ahead_B1
    later_BF = (slot_F >= later_B1.clamp(max=WINDOW - 1)) & (slot_F < later_B1 + length_B1)
    only_B1 = torch.rand(batch, 1, generator=generator) < 0.5
    return torch.where(arriving_B[:, None], later_BF | (prefix_BF & ~only_B1), prefix_BF)


def _turned(layout_BSFK: Tensor, scenes: SceneBatch, before_B: Tensor, aspect: float, generator: Generator) -> Tensor:
    """Windows whose first slots lead there from elsewhere: as the same subjects would move by another prompt.

    The slots from `before_B` on are the first ones of `layout_BSFK`; before them stand the last slots of another way,
    moved so that it ends where this one begins.
    """
    batch = len(before_B)
    codes_BA = scenes.codes_BA.clone()
    for name in ("direction", "speed", "second_direction", "second_speed"):
        shuffled_B = torch.randint(len(ATTRIBUTES[COLUMN[name]].values), (batch,), generator=generator)
        codes_BA[:, COLUMN[name]] = torch.where(codes_BA[:, COLUMN[name]] >= 0, shuffled_B, -1)
    slot_F = torch.arange(WINDOW)
    start_B = torch.randint(8, (batch,), generator=generator)
    time_BF = (start_B[:, None] + slot_F) * SLOT_SECONDS
    other_BSFK = as_layout(states(SceneBatch(codes_BA, scenes.seed_B), time_BF, aspect))
    meets = before_B[:, None, None, None].expand(-1, other_BSFK.shape[1], 1, other_BSFK.shape[3])
    offset_BS1K = layout_BSFK[:, :, :1] - other_BSFK.gather(2, meets)
    moved = torch.tensor([name in ("x", "y", "size") for name in LAYOUT])
    earlier_BSFK = other_BSFK + torch.where(moved, offset_BS1K, 0.0)
    index_BF = (slot_F - before_B[:, None]).clamp(min=0)
    later_BSFK = layout_BSFK.gather(2, index_BF[:, None, :, None].expand_as(layout_BSFK))
    return torch.where((slot_F < before_B[:, None])[:, None, :, None], earlier_BSFK, later_BSFK)


def planner_loss(planner: LayoutPlanner, windows: Windows, generator: Generator) -> Tensor:
    """Squared error of the clean window, weighted as in velocity space; given slots are shown and do not count."""
    clean_BSFV = windows.values_BSFV
    sigma_B = torch.sigmoid(torch.randn(len(clean_BSFV), generator=generator) * 1.2 + 0.4)
    noise_BSFV = torch.randn(clean_BSFV.shape, generator=generator)
    sigma = sigma_B[:, None, None, None]
    shown = windows.given_BF[:, None, :, None]
    x_BSFV = torch.where(shown, windows.shown_BSFV, noised(clean_BSFV, noise_BSFV, sigma))
    given_BF = windows.given_BF.float()
    predicted: Tensor = planner(x_BSFV, sigma_B, given_BF, windows.fresh_B, windows.text_BLD, windows.aspect_B)
    weight = sigma.clamp(min=SIGMA_FLOOR) ** -2
    return ((predicted - clean_BSFV).square() * weight * ~shown).mean()
