"""The layout: where the subjects are in every slot, and how it is shown to the transformer.

A layout is decided before anything is painted (`model.planner`), as in layout-to-image models and in video models that
plan boxes first (Lian et al., LLM-grounded Video Diffusion, arXiv 2309.17444). The transformer sees it as channels
beside the noised latent: at every pixel, its place in the picture and its place in the frame of each subject. A shape
is then a function of local coordinates that is the same wherever the subject stands, which a small model learns in a
small part of the steps that it takes to find subjects, place them and paint them all at once.

Shape suffixes: B batch, S subjects, F slots, K values of a layout, C channels, H W latent size, P positions, W waves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange, repeat

from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS

if TYPE_CHECKING:
    from torch import Tensor

#: The order of the last dimension of a layout, which holds for the last frame of each slot: middle in widths and
#: heights from the top left, larger side in heights, velocity in widths and heights a second, and +1 where the subject
#: looks right, -1 where it looks left.
LAYOUT: Final = ("x", "y", "size", "vx", "vy", "facing")
SUBJECTS: Final = 2
#: Waves for each coordinate, in half turns from the middle to an edge of length 1.
_OCTAVES: Final = (1.0, 2.0, 4.0)
_PLACE: Final = 2 + 4 * len(_OCTAVES)
#: Channels of `layout_map`: the place in the picture; for each subject its window, the place in it and its velocity.
MAP_CHANNELS: Final = _PLACE + SUBJECTS * (1 + _PLACE + 2)

#: How far a figure reaches from its middle in its own units: sideways, up (a ball bounces), down; and the soft rim.
_ASIDE, _ABOVE, _BELOW, _RIM = 0.8, 1.1, 0.75, 0.15
#: Seconds from the middle of a slot to its last frame.
_HALF_SLOT: Final = (FRAMES_PER_SLOT - 1) / 2 / SPARK_FPS
#: Velocities are small numbers; this brings them to the order of 1.
_VELOCITY_SCALE: Final = 8.0


def empty_layout(batch: int, slots: int) -> Tensor:
    """A layout `[B, S, F, K]` that says nothing: NaN where no subject is known."""
    return torch.full((batch, SUBJECTS, slots, len(LAYOUT)), torch.nan)


def stilled(layout_BSFK: Tensor, still_F: Tensor) -> Tensor:
    """The layout with the velocities of some slots set to 0: of those that hold one frame."""
    moves_K = torch.tensor([name in ("vx", "vy") for name in LAYOUT], device=layout_BSFK.device)
    return torch.where(still_F[:, None] & moves_K & layout_BSFK.isfinite(), 0.0, layout_BSFK)


def layout_map(layout_BSFK: Tensor, height: int, width: int) -> Tensor:
    """Draw a layout as channels `[B, MAP_CHANNELS, F, H, W]` for a latent of this size.

    Each subject has a window, 1 inside and softly 0 outside its reach, and in it: the place in its own frame (in units
    of its size, mirrored where it looks left, so that forwards is always positive), sine waves of that place, and its
    velocity. All are 0 for a subject that is not there (NaN). What is drawn is the middle of the slot.
    """
    batch, _, slots, _ = layout_BSFK.shape
    device = layout_BSFK.device
    down_H, across_W = ((torch.arange(size, device=device) + 0.5) / size for size in (height, width))
    place_CHW = _place(repeat(across_W * 2 - 1, "W -> H W", H=height), repeat(down_H * 2 - 1, "H -> H W", W=width))
    there_BSF = layout_BSFK.isfinite().all(-1)
    value_KBSF11 = rearrange(layout_BSFK.nan_to_num(), "B S F K -> K B S F 1 1")
    x, y, size, vx, vy, facing = value_KBSF11.unbind(0)
    size = torch.where(there_BSF[..., None, None], size, 1.0).clamp(min=0.02)
    x, y = x - _HALF_SLOT * vx, y - _HALF_SLOT * vy
    forward = (across_W - x) * (width / height) * facing / size
    below = (down_H[:, None] - y) / size
    window = _ramp(_ASIDE - forward.abs()) * _ramp(_ABOVE + below) * _ramp(_BELOW - below)
    window = window * there_BSF[..., None, None]
    forward, below = (part.expand_as(window) for part in (forward, below))
    velocity = torch.stack([(part * _VELOCITY_SCALE).expand_as(window) for part in (vx, vy)])
    own = torch.cat([torch.ones_like(window)[None], _place(forward, below), velocity]) * window
    return torch.cat(
        [
            repeat(place_CHW, "C H W -> B C F H W", B=batch, F=slots),
            rearrange(own, "C B S F H W -> B (S C) F H W"),
        ],
        dim=1,
    )


def _place(across: Tensor, down: Tensor) -> Tensor:
    """Two coordinates and their waves, stacked in front (Fourier features: Tancik et al., arXiv 2006.10739)."""
    parts = [across, down]
    for octave in _OCTAVES:
        for coordinate in (across, down):
            angle = coordinate * (math.pi * octave)
            parts += [angle.sin(), angle.cos()]
    return torch.stack(parts)


def _ramp(distance: Tensor) -> Tensor:
    return (distance / _RIM).clamp(0.0, 1.0)
