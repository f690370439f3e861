"""The planner: decides where the subjects are and how they move, before anything is painted.

A small flow-matching model of layouts (`model.layout`): it draws windows of `WINDOW` slots at once, given what the
prompt says and what is known of any slots in them. A longer clip is planned window after window, each from the last
slots of the one before, as the video itself is made; what leads to given slots alone is planned backwards from them.

    noisy window, given slots, whether the prompt is new, noise level, picture's aspect, scene tokens
        -> residual layers -> clean window

Shape suffixes: B batch, S subjects, F slots, K values of a layout, V values that are sampled (those and presence),
L tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from kinemark.model.layout import LAYOUT, SUBJECTS, empty_layout, stilled
from kinemark.model.scene_code import TEXT_DIM, TEXT_LEN

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Slots that are planned together: six seconds.
WINDOW: Final = 13
#: How many slots of what is already known a window takes in.
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
        self.into = nn.Linear(2 * values + WINDOW + 1, width)
        self.text = nn.Sequential(nn.Linear(TEXT_LEN * TEXT_DIM, width), nn.SiLU(), nn.Linear(width, width))
        self.level = nn.Linear(2 * config.waves + 1, width)
        self.layers = nn.ModuleList(_Layer(width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, values)

    def forward(
        self,
        x_BSFV: Tensor,
        sigma_B: Tensor,
        given_BF: Tensor,
        fresh_B: Tensor,
        text_BLD: Tensor,
        aspect_B: Tensor,
    ) -> Tensor:
        """Return the clean window `[B, S, F, V]`.

        Args:
            x_BSFV: noised values (`to_values`); those of given slots are clean.
            sigma_B: noise level of the others, in [0, 1].
            given_BF: 1 for slots that are given.
            fresh_B: 1 where the given slots followed another prompt.
            text_BLD: scene tokens.
            aspect_B: width of the picture over its height.
        """
        angle = sigma_B[:, None] * (math.pi * 2.0 ** torch.arange(self.config.waves, device=sigma_B.device) / 4)
        level = self.level(torch.cat([angle.sin(), angle.cos(), aspect_B[:, None].log()], dim=1))
        condition = self.text(text_BLD.flatten(1)) + level
        straight_BSFV = straight_between(x_BSFV, given_BF)
        x_BD = self.into(torch.cat([x_BSFV.flatten(1), straight_BSFV.flatten(1), given_BF, fresh_B[:, None]], dim=1))
        for layer in self.layers:
            x_BD = layer(x_BD, condition)
        beside_BSFV: Tensor = self.head(self.norm(x_BD)).view(x_BSFV.shape)
        return straight_BSFV + beside_BSFV

    @torch.no_grad()
    def plan(self, text_BFLD: Tensor, seeds: Sequence[int], aspect: float, given_BSFK: Tensor | None = None) -> Tensor:
        """Plan whole clips.

        Args:
            text_BFLD: the scene tokens that each slot follows.
            seeds: of each clip; the same seed and prompt is the same plan.
            aspect: width of the picture over its height.
            given_BSFK: the layout of slots that are known, which stays as it is; slots in which no clip has a subject
                are unknown. None: nothing is known.

        Returns:
            A layout `[B, S, F, K]`, NaN for subjects that are not there.
        """
        batch, slots = text_BFLD.shape[:2]
        generators = [torch.Generator().manual_seed(seed ^ _STREAM) for seed in seeds]
        given = to_values(given_BSFK) if given_BSFK is not None else to_values(empty_layout(batch, slots))
        known_F = (given[..., -1] > 0).flatten(0, 1).any(0)
        values_BSFV = torch.zeros(batch, SUBJECTS, slots, len(LAYOUT) + 1)
        values_BSFV[:, :, known_F] = given[:, :, known_F]
        new_F = _prompt_changes(text_BFLD)
        while not known_F.all():
            piece = _next_piece(known_F, new_F)
            noise = torch.stack(
                [torch.randn(SUBJECTS, WINDOW, len(LAYOUT) + 1, generator=generator) for generator in generators]
            )
            inside = range(max(0, piece.start), min(slots, piece.start + WINDOW))
            places = [slot - piece.start for slot in inside]
            given_F = torch.zeros(WINDOW, dtype=torch.bool)
            given_F[places] = known_F[inside.start : inside.stop]
            kept_BSFV = torch.zeros_like(noise)
            kept_BSFV[:, :, places] = values_BSFV[:, :, inside.start : inside.stop]
            window = self._window(noise, kept_BSFV, given_F, text_BFLD[:, piece.made.start], aspect, fresh=piece.fresh)
            values_BSFV[:, :, piece.made.start : piece.made.stop] = window[
                :, :, piece.made.start - piece.start : piece.made.stop - piece.start
            ]
            known_F[piece.made.start : piece.made.stop] = True
        return from_values(values_BSFV)

    def _window(
        self, x_BSFV: Tensor, kept_BSFV: Tensor, given_F: Tensor, text_BLD: Tensor, aspect: float, *, fresh: bool
    ) -> Tensor:
        batch = len(x_BSFV)
        given_BF, fresh_B = given_F.float().expand(batch, -1), torch.full((batch,), float(fresh))
        sigma = torch.linspace(1.0, 0.0, STEPS + 1)
        for now, then in pairwise(sigma):
            x_BSFV = torch.where(given_F[:, None], kept_BSFV, x_BSFV)
            clean = self(x_BSFV, now.expand(batch), given_BF, fresh_B, text_BLD, torch.full((batch,), aspect))
            x_BSFV = clean + (then / now) * (x_BSFV - clean)
        return x_BSFV


def straight_between(x_BSFV: Tensor, given_BF: Tensor) -> Tensor:
    """What is known, gone on from in straight lines: the network draws what differs from it.

    Between two given slots lies the straight line from one to the other, beyond them what is nearest; 0 where nothing
    is given. A network that had to say places outright would miss what it is given by some hundredths of the width.
    """
    slots = given_BF.shape[1]
    slot_F = torch.arange(slots, device=x_BSFV.device)
    before_BF = torch.where(given_BF > 0, slot_F, -1).cummax(1).values
    after_BF = torch.where(given_BF > 0, slot_F, slots).flip(1).cummin(1).values.flip(1)
    none_B = (given_BF == 0).all(1)
    left_BF = torch.where(before_BF < 0, after_BF, before_BF).clamp(max=slots - 1)
    right_BF = torch.where(after_BF == slots, before_BF, after_BF).clamp(min=0)
    share_BF = (slot_F - left_BF) / (right_BF - left_BF).clamp(min=1)
    left, right = (x_BSFV.gather(2, index_BF[:, None, :, None].expand_as(x_BSFV)) for index_BF in (left_BF, right_BF))
    line_BSFV = torch.lerp(left, right, share_BF[:, None, :, None])
    return torch.where(none_B[:, None, None, None], 0.0, line_BSFV)


@dataclass(frozen=True, slots=True)
class _Piece:
    """Slots that are planned next: where their window starts, which of it is new, and whether its prompt is."""

    start: int
    made: range
    fresh: bool


def _prompt_changes(text_BFLD: Tensor) -> list[int]:
    """The slots that follow another prompt than the slot before them."""
    changes_F = (text_BFLD[:, 1:] != text_BFLD[:, :-1]).flatten(2).any(-1).any(0)
    return [slot + 1 for slot in changes_F.nonzero().flatten().tolist()]


def _next_piece(known_F: Tensor, changes: Sequence[int]) -> _Piece:
    """The next slots to plan: forwards from the first gap, or backwards where nothing is known before it."""
    known = known_F.tolist()
    first = known.index(False)
    stop = next((slot for slot in range(first, len(known)) if known[slot]), len(known))
    if first == 0 and stop < len(known):
        # From the end of the gap back: the window reaches into what is known behind it.
        begin = max([0, stop - (WINDOW - OVERLAP), *(change for change in changes if change < stop)])
        return _Piece(stop + OVERLAP - WINDOW, range(begin, stop), fresh=stop in changes)
    start = max(0, first - OVERLAP)
    ends = [stop, start + WINDOW, *(change for change in changes if change > first)]
    # One frame shows no motion: from there on things go as the prompt says, wherever they came from.
    return _Piece(start, range(first, min(ends)), fresh=first in changes or first == 1)


def lay_out(
    planner: LayoutPlanner,
    text_BFLD: Tensor,
    seeds: Sequence[int],
    size: tuple[int, int],
    given_BSFK: Tensor | None = None,
) -> Tensor:
    """The layout `[B, S, F, K]` of clips that begin with a slot of one frame, for pictures of (height, width)."""
    layout_BSFK = planner.plan(text_BFLD, seeds, size[1] / size[0], given_BSFK)
    return stilled(layout_BSFK, torch.arange(layout_BSFK.shape[2]) == 0)


def to_values(layout_BSFK: Tensor) -> Tensor:
    """A layout as what is sampled, `[B, S, F, V]`: in units of its spread, and presence (+1 or -1) last."""
    there = layout_BSFK.isfinite().all(-1, keepdim=True)
    middle, scale = layout_BSFK.new_tensor(_UNITS).unbind(1)
    values = torch.where(there, (layout_BSFK - middle) / scale, 0.0)
    return torch.cat([values, there.float() * 2 - 1], dim=-1)


def from_values(values_BSFV: Tensor) -> Tensor:
    """The layout of sampled values: a subject is there or not, and looks one way, in each slot."""
    middle, scale = values_BSFV.new_tensor(_UNITS).unbind(1)
    layout = values_BSFV[..., :-1] * scale + middle
    facing = torch.where(layout[..., -1:] < 0, -1.0, 1.0)
    there = values_BSFV[..., -1:] > 0
    return torch.where(there, torch.cat([layout[..., :-1], facing], dim=-1), torch.nan)
