"""The planner: decides where the subjects are and how they move, before anything is painted.

A small flow-matching model of layouts (`model.layout`): it draws windows of `WINDOW` slots at once, given what the
prompt says. A longer clip is planned window after window, each with the last slots of the one before as given ones, as
the video itself is made.

    noisy window, given slots, noise level, picture's aspect, scene tokens -> residual layers -> clean window

Shape suffixes: B batch, S subjects, F slots, K values of a layout, V values that are sampled (those and presence),
L tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange
from torch import Tensor, nn

from kinemark.model.layout import LAYOUT, SUBJECTS, stilled
from kinemark.model.scene_code import TEXT_DIM, TEXT_LEN

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Slots that are planned together: four seconds.
WINDOW: Final = 9
#: How many of the slots before a window are given to it.
OVERLAP: Final = 3
#: Steps of Euler's method for a window.
STEPS: Final = 24

#: (middle, scale) of each value of `LAYOUT`: what is sampled is of the order of 1.
_UNITS: Final = ((0.5, 0.3), (0.5, 0.3), (0.3, 0.12), (0.0, 0.06), (0.0, 0.06), (0.0, 1.0))
#: Keeps the noise of the planner apart from the noise of the picture that has the same seed.
_STREAM: Final = 0x6C61796F7574


@dataclass(frozen=True, slots=True)
class PlannerConfig:
    """Sizes of the planner."""

    width: int = 256
    layers: int = 4
    waves: int = 8


class _Layer(nn.Module):
    """x + what a small network makes of it and of the conditions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = nn.Linear(width, width)
        self.condition = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x_BD: Tensor, condition_BD: Tensor) -> Tensor:
        hidden = nn.functional.silu(self.into(self.norm(x_BD)) + self.condition(condition_BD))
        out: Tensor = x_BD + self.out(hidden)
        return out


class LayoutPlanner(nn.Module):
    """Predicts a clean window of a layout from a noised one; see the module's docstring."""

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        values = WINDOW * SUBJECTS * (len(LAYOUT) + 1)
        width = config.width
        self.into = nn.Linear(values + WINDOW, width)
        self.text = nn.Sequential(nn.Linear(TEXT_LEN * TEXT_DIM, width), nn.SiLU(), nn.Linear(width, width))
        self.level = nn.Linear(2 * config.waves + 1, width)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, values)

    def forward(self, x_BSFV: Tensor, sigma_B: Tensor, given_BF: Tensor, text_BLD: Tensor, aspect_B: Tensor) -> Tensor:
        """Return the clean window `[B, S, F, V]`.

        Args:
            x_BSFV: noised values (`to_values`); those of given slots are clean.
            sigma_B: noise level of the others, in [0, 1].
            given_BF: 1 for slots that are given.
            text_BLD: scene tokens.
            aspect_B: width of the picture over its height.
        """
        angle = sigma_B[:, None] * (math.pi * 2.0 ** torch.arange(self.config.waves, device=sigma_B.device) / 4)
        level = self.level(torch.cat([angle.sin(), angle.cos(), aspect_B[:, None].log()], dim=1))
        condition = self.text(text_BLD.flatten(1)) + level
        x_BD = self.into(torch.cat([x_BSFV.flatten(1), given_BF], dim=1))
        for layer in self.layers:
            x_BD = layer(x_BD, condition)
        clean: Tensor = self.head(self.norm(x_BD))
        return clean.view(x_BSFV.shape)

    @torch.no_grad()
    def plan(self, text_BFLD: Tensor, seeds: Sequence[int], aspect: float) -> Tensor:
        """Plan whole clips.

        Args:
            text_BFLD: the scene tokens that each slot follows.
            seeds: of each clip; the same seed and prompt is the same plan.
            aspect: width of the picture over its height.

        Returns:
            A layout `[B, S, F, K]`, NaN for subjects that are not there.
        """
        batch, slots = text_BFLD.shape[:2]
        generators = [torch.Generator().manual_seed(seed ^ _STREAM) for seed in seeds]
        values_BSFV = torch.zeros(batch, SUBJECTS, 0, len(LAYOUT) + 1)
        while (done := values_BSFV.shape[2]) < slots:
            kept = values_BSFV[:, :, max(0, done - OVERLAP) :]
            text_BLD = text_BFLD[:, min(done + WINDOW // 2, slots - 1)]
            noise = torch.stack(
                [torch.randn(SUBJECTS, WINDOW, len(LAYOUT) + 1, generator=generator) for generator in generators]
            )
            window = self._window(noise, kept, text_BLD, aspect)
            values_BSFV = torch.cat([values_BSFV, window[:, :, kept.shape[2] :]], dim=2)
        return from_values(values_BSFV[:, :, :slots])

    def _window(self, x_BSFV: Tensor, kept_BSFV: Tensor, text_BLD: Tensor, aspect: float) -> Tensor:
        batch, given = len(x_BSFV), kept_BSFV.shape[2]
        given_BF = (torch.arange(WINDOW) < given).float().expand(batch, -1)
        sigma = torch.linspace(1.0, 0.0, STEPS + 1)
        for now, then in pairwise(sigma):
            x_BSFV[:, :, :given] = kept_BSFV
            clean = self(x_BSFV, now.expand(batch), given_BF, text_BLD, torch.full((batch,), aspect))
            x_BSFV = clean + (then / now) * (x_BSFV - clean)
        return x_BSFV


def lay_out(planner: LayoutPlanner, text_BFLD: Tensor, seeds: Sequence[int], size: tuple[int, int]) -> Tensor:
    """The layout `[B, S, F, K]` of clips that begin with a slot of one frame, for pictures of (height, width)."""
    layout_BSFK = planner.plan(text_BFLD, seeds, size[1] / size[0])
    return stilled(layout_BSFK, torch.arange(layout_BSFK.shape[2]) == 0)


def to_values(layout_BSFK: Tensor) -> Tensor:
    """A layout as what is sampled, `[B, S, F, V]`: in units of its spread, and presence (+1 or -1) last."""
    there = layout_BSFK.isfinite().all(-1, keepdim=True)
    middle, scale = layout_BSFK.new_tensor(_UNITS).unbind(1)
    values = torch.where(there, (layout_BSFK - middle) / scale, 0.0)
    return torch.cat([values, there.float() * 2 - 1], dim=-1)


def from_values(values_BSFV: Tensor) -> Tensor:
    """The layout of sampled values: a subject is there in all slots or in none, and looks one way in each."""
    middle, scale = values_BSFV.new_tensor(_UNITS).unbind(1)
    layout = values_BSFV[..., :-1] * scale + middle
    facing = torch.where(layout[..., -1:] < 0, -1.0, 1.0)
    there = rearrange(values_BSFV[..., -1].mean(-1) > 0, "B S -> B S 1 1")
    return torch.where(there, torch.cat([layout[..., :-1], facing], dim=-1), torch.nan)
