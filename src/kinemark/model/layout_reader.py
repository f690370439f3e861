"""Reads from given pictures where the subjects are, so that what is made beside them can be planned.

The planner decides a layout from words (`model.planner`); where frames are given, the layout is in them. A small
convolutional network finds up to two subjects in a slot's latent, in the order in which the prompt names them:

    four frames of a slot, scene tokens, picture's aspect -> a map of where each subject is
    what is around each place, large -> size, velocity and which way it looks

Shape suffixes: B batch, S subjects, F slots, N slots of all clips, K values of a layout, V those and presence,
C channels, H W latent size, L tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional

from kinemark.model.layout import LAYOUT, SUBJECTS, empty_layout, stilled
from kinemark.model.planner import from_values
from kinemark.model.scene_code import TEXT_DIM, TEXT_LEN
from kinemark.timeline import FRAMES_PER_SLOT

if TYPE_CHECKING:
    from torch import Tensor

#: Subjects are looked for at this size, whatever the picture's own: places are in widths and heights.
SIDE: Final = 40
#: What is around a place is looked at in so many samples a side, over this share of the picture's height.
GLANCE: Final = 32
REACH: Final = 0.6
#: What changes from frame to frame is little beside the picture itself.
_MOTION_SCALE: Final = 4.0
#: Slots that are read at once.
CHUNK: Final = 32


@dataclass(frozen=True, slots=True)
class LayoutReaderConfig:
    """Sizes of the reader."""

    width: int = 32
    hidden: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 1)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LayoutReaderConfig:
        """Read what JSON made of `dataclasses.asdict`: a tuple is a list there."""
        return cls(**values | {"dilations": tuple(values["dilations"])})


class _Layer(nn.Module):
    """x + conv(relu(x)), scaled and shifted by what is asked for (FiLM: Perez et al., arXiv 1709.07871)."""

    def __init__(self, width: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(4, width, affine=False)
        self.film = nn.Linear(hidden, 2 * width)
        self.conv = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        nn.init.zeros_(self.film.weight)

    def forward(self, x_NCHW: Tensor, asked_ND: Tensor) -> Tensor:
        scale, shift = rearrange(self.film(asked_ND), "N (k C) -> k N C 1 1", k=2)
        out: Tensor = x_NCHW + self.conv(functional.relu(self.norm(x_NCHW) * (1 + scale) + shift))
        return out


@dataclass(frozen=True, slots=True)
class Found:
    """What is found: `heat_NSM`, logits over the cells of the map, and the values `[N, S, V]` (`planner.to_values`).

    The last value is the logit of presence, the one before it that of looking right.
    """

    heat_NSM: Tensor
    values_NSV: Tensor


class LayoutReader(nn.Module):
    """Finds the subjects in slots; see the module's docstring."""

    def __init__(self, config: LayoutReaderConfig) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.width, config.hidden
        self.asked = nn.Sequential(nn.Linear(TEXT_LEN * TEXT_DIM + 1, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.stem = _halving(3 * FRAMES_PER_SLOT, width)
        self.layers = nn.ModuleList(_Layer(width, hidden, dilation) for dilation in config.dilations)
        self.heat = nn.Conv2d(width, SUBJECTS, 3, padding=1)
        self.sure = nn.Linear(2 * SUBJECTS + width + hidden, SUBJECTS)
        self.close = nn.ModuleList(
            (
                _halving(3 * FRAMES_PER_SLOT, 2 * width),
                _Layer(2 * width, hidden, 1),
                _halving(2 * width, 2 * width),
                _Layer(2 * width, hidden, 1),
            )
        )
        self.seen = nn.Linear(2 * width * (GLANCE // 4) ** 2, hidden)
        self.values = nn.Sequential(
            nn.SiLU(), nn.Linear(2 * hidden + 2, hidden), nn.SiLU(), nn.Linear(hidden, len(LAYOUT))
        )

    def forward(self, slot_NCHW: Tensor, text_NLD: Tensor, aspect_N: Tensor, place_NSX: Tensor | None = None) -> Found:
        """Look at slots.

        Args:
            slot_NCHW: latents, of any size.
            text_NLD: scene tokens: what to look for, and in which order.
            aspect_N: width of the picture over its height.
            place_NSX: where to look closely, in widths and heights; where the map says, if None.
        """
        asked_ND = self.asked(torch.cat([text_NLD.flatten(1), aspect_N[:, None].log()], dim=1))
        slot_NCHW = _with_motion(slot_NCHW)
        x_NCHW = self.stem(functional.adaptive_avg_pool2d(slot_NCHW, SIDE))
        for layer in self.layers:
            x_NCHW = layer(x_NCHW, asked_ND)
        x_NCHW = functional.relu(x_NCHW)
        heat_NSM = self.heat(x_NCHW).flatten(2)
        weight_NSM = heat_NSM.softmax(-1)
        peak = torch.cat([weight_NSM.amax(-1), heat_NSM.amax(-1) / 10], dim=1)
        sure_NS = self.sure(torch.cat([peak, x_NCHW.mean(dim=(2, 3)), asked_ND], dim=1))
        seen_NSX = (weight_NSM @ cell_centres(x_NCHW)).detach()
        looked_NSX = seen_NSX if place_NSX is None else place_NSX
        each_NSD = asked_ND[:, None].expand(-1, SUBJECTS, -1)
        near_NSD = torch.stack(
            [self._near(_glance(slot_NCHW, looked_NSX[:, s], aspect_N), asked_ND) for s in range(SUBJECTS)], dim=1
        )
        values_NSV = self.values(torch.cat([near_NSD, each_NSD, looked_NSX - 0.5], dim=-1))
        # The place is where it was looked, and how far beside that the subject is.
        moved_NSX = (looked_NSX - 0.5) / 0.3 + values_NSV[..., :2]
        return Found(heat_NSM, torch.cat([moved_NSX, values_NSV[..., 2:], sure_NS[..., None]], dim=-1))

    def _near(self, seen_NCGG: Tensor, asked_ND: Tensor) -> Tensor:
        """What is made of a close look, `[N, D]`."""
        x_NCGG = seen_NCGG
        for layer in self.close:
            x_NCGG = layer(x_NCGG, asked_ND) if isinstance(layer, _Layer) else layer(x_NCGG)
        near_ND: Tensor = self.seen(functional.silu(x_NCGG).flatten(1))
        return near_ND

    @torch.no_grad()
    def read(self, latent_BCFHW: Tensor, text_BFLD: Tensor, still_F: Tensor) -> Tensor:
        """The layout `[B, S, F, K]` of slots of any size; NaN where no subject is found.

        Args:
            latent_BCFHW: clean latents.
            text_BFLD: the scene tokens that each slot follows.
            still_F: slots that hold one frame, which shows no velocity.
        """
        batch, _, slots, height, width = latent_BCFHW.shape
        slot_NCHW = rearrange(latent_BCFHW, "B C F H W -> (B F) C H W")
        text_NLD = rearrange(text_BFLD, "B F L D -> (B F) L D")
        found = [
            self(
                slot_NCHW[start : start + CHUNK],
                text_NLD[start : start + CHUNK],
                slot_NCHW.new_full((len(slot_NCHW[start : start + CHUNK]),), width / height),
            ).values_NSV
            for start in range(0, len(slot_NCHW), CHUNK)
        ]
        if not found:
            return empty_layout(batch, slots)
        layout_BSFK = from_values(rearrange(torch.cat(found), "(B F) S V -> B S F V", B=batch))
        return stilled(layout_BSFK, still_F)


def _halving(channels: int, width: int) -> nn.Conv2d:
    """A convolution that halves both sides."""
    return nn.Conv2d(channels, width, 4, stride=2, padding=1)


def _with_motion(slot_NCHW: Tensor) -> Tensor:
    """The last of a slot's frames, which its layout holds for, and what changed from frame to frame before it."""
    frame_NTCHW = rearrange(slot_NCHW, "N (t C) H W -> N t C H W", t=FRAMES_PER_SLOT)
    change_NTCHW = _MOTION_SCALE * frame_NTCHW.diff(dim=1)
    return rearrange(torch.cat([change_NTCHW, frame_NTCHW[:, -1:]], dim=1), "N t C H W -> N (t C) H W")


def _glance(slot_NCHW: Tensor, place_NX: Tensor, aspect_N: Tensor) -> Tensor:
    """What is around places, `[N, C, G, G]`: a square in heights; beyond the picture, its edge goes on."""
    offset = torch.linspace(-REACH / 2, REACH / 2, GLANCE, device=slot_NCHW.device)
    across = place_NX[:, 0, None, None] + offset[None, None, :] / aspect_N[:, None, None]
    down = place_NX[:, 1, None, None] + offset[None, :, None]
    grid = torch.stack([across.expand(-1, GLANCE, -1), down.expand(-1, -1, GLANCE)], dim=-1) * 2 - 1
    return functional.grid_sample(slot_NCHW, grid, padding_mode="border", align_corners=False)


def cell_centres(like_NCHW: Tensor) -> Tensor:
    """The middles (x, y) of the cells of a map, row by row, in 0..1; `[M, 2]`."""
    height, width = like_NCHW.shape[-2:]
    down = (torch.arange(height, device=like_NCHW.device, dtype=like_NCHW.dtype) + 0.5) / height
    across = (torch.arange(width, device=like_NCHW.device, dtype=like_NCHW.dtype) + 0.5) / width
    y, x = torch.meshgrid(down, across, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=-1)
