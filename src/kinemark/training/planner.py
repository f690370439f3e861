"""Training of the layout planner, on the tracks of rendered worlds; nothing has to be painted for it.

Shape suffixes: B batch, S subjects, F slots, K values of a layout, V values that are sampled, L D text tokens.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from kinemark.model.planner import OVERLAP, WINDOW, LayoutPlanner, PlannerConfig, to_values
from kinemark.model.scene_code import UNSPECIFIED, scene_code
from kinemark.sampling.flow import noised
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.optim import warmed_cosine
from kinemark.training.stream import as_layout, build_pool
from kinemark.worlds.render import states
from kinemark.worlds.spec import SceneBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Generator, Tensor

    from kinemark.training.stream import Pool

#: Below this noise level the velocity-space weight stops growing.
SIGMA_FLOOR: Final = 0.1
#: Widths over heights that windows are planned for.
ASPECTS: Final = (1.0, 1.6, 0.625, 1.78, 0.5625, 2.0, 0.5)


@dataclass(frozen=True, slots=True)
class PlannerRecipe:
    """Everything that decides what the planner learns.

    Attributes:
        steps: updates; `batch` windows in each.
        learning_rate: AdamW's, after `warmup` steps, falling to zero by a cosine.
        late: share of windows that begin anywhere in the first minute, always with given slots: what goes left by its
            prompt may have turned by then. The others are the first four seconds.
        given: share of those that begin with given slots.
        pool: scenes that windows are drawn from.
    """

    steps: int = 3000
    batch: int = 512
    learning_rate: float = 2e-3
    warmup: int = 100
    late: float = 0.2
    given: float = 0.3
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
        text_BLD: scene tokens.
        aspect_B: width of the picture over its height.
        given_BF: which slots are given.
    """

    values_BSFV: Tensor
    text_BLD: Tensor
    aspect_B: Tensor
    given_BF: Tensor


def draw_windows(recipe: PlannerRecipe, pool: Pool, aspect: float, generator: Generator) -> Windows:
    """Draw scenes of a pool, at times in the first minute, in pictures of one shape."""
    batch = recipe.batch
    pick_B = torch.randint(len(pool.scenes), (batch,), generator=generator)
    scenes = SceneBatch(pool.scenes.codes_BA[pick_B], torch.randint(1 << 48, (batch,), generator=generator))
    late_B = torch.rand(batch, generator=generator) < recipe.late
    minute = 60 * SPARK_FPS // FRAMES_PER_SLOT - WINDOW
    start_B = torch.where(late_B, torch.randint(minute, (batch,), generator=generator), 0)
    slot_BF = start_B[:, None] + torch.arange(WINDOW)
    layout_BSFK = as_layout(states(scenes, slot_BF * (FRAMES_PER_SLOT / SPARK_FPS), aspect))

    continued_B = late_B | (torch.rand(batch, generator=generator) < recipe.given)
    count_B1 = torch.randint(1, OVERLAP + 1, (batch, 1), generator=generator)
    dropped_B1 = torch.rand(batch, 1, generator=generator) < recipe.text_dropout
    said_BL = torch.where(dropped_B1, UNSPECIFIED, pool.said_BL[pick_B])
    return Windows(
        values_BSFV=to_values(layout_BSFK),
        text_BLD=scene_code()[torch.arange(said_BL.shape[1]), said_BL],
        aspect_B=torch.full((batch,), aspect),
        given_BF=(torch.arange(WINDOW) < count_B1) & continued_B[:, None],
    )


def planner_loss(planner: LayoutPlanner, windows: Windows, generator: Generator) -> Tensor:
    """Squared error of the clean window, weighted as in velocity space; given slots are shown and do not count."""
    clean_BSFV = windows.values_BSFV
    sigma_B = torch.sigmoid(torch.randn(len(clean_BSFV), generator=generator) * 1.2 + 0.4)
    noise_BSFV = torch.randn(clean_BSFV.shape, generator=generator)
    sigma = sigma_B[:, None, None, None]
    shown = windows.given_BF[:, None, :, None]
    x_BSFV = torch.where(shown, clean_BSFV, noised(clean_BSFV, noise_BSFV, sigma))
    predicted: Tensor = planner(x_BSFV, sigma_B, windows.given_BF.float(), windows.text_BLD, windows.aspect_B)
    weight = sigma.clamp(min=SIGMA_FLOOR) ** -2
    return ((predicted - clean_BSFV).square() * weight * ~shown).mean()


def save_planner(path: Path, planner: LayoutPlanner, recipe: PlannerRecipe) -> None:
    """Write the weights (float32 safetensors); the header says the configuration and the recipe."""
    facts = {"config": asdict(planner.config), "recipe": asdict(recipe)}
    save_file(planner.state_dict(), path, {name: json.dumps(value) for name, value in facts.items()})


def load_planner(path: Path) -> LayoutPlanner:
    """Read what `save_planner` wrote, ready to plan."""
    with safe_open(path, framework="pt") as file:
        planner = LayoutPlanner(PlannerConfig(**json.loads(file.metadata()["config"])))
    planner.load_state_dict(load_file(path))
    return planner.eval()
