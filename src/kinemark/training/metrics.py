"""What can be measured of a clip without reading it (motion, sharpness, flicker, drift, nearness).

Every figure of a clip is one number per clip, computed on pixels in [0, 1]; only ratios to rendered truth of the same
scenes are reported, so units cancel.

Shape suffixes: B batch, N reference clips, T pixel frames, C channels, H W size, D features.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange, reduce

if TYPE_CHECKING:
    from torch import Tensor

#: Rec. 601 luma.
_LUMA: Final = (0.299, 0.587, 0.114)
#: Motion is measured between frames this far apart (half a second at 8 fps), so that slow subjects count.
MOTION_STRIDE: Final = 4
#: Pictures are averaged over cells of this many pixels before motion is measured: noise is not motion.
MOTION_CELL: Final = 4


def motion_energy(video_BTCHW: Tensor) -> Tensor:
    """How much the picture changes: mean absolute difference over half a second, after 4x4 averaging; `[B]`.

    A frozen clip has 0. A shorter clip is compared over the time that it has; a single frame has 0.
    """
    frames = video_BTCHW.shape[1]
    if frames == 1:
        return video_BTCHW.new_zeros(video_BTCHW.shape[0])
    coarse = _coarse(video_BTCHW, MOTION_CELL)
    stride = min(MOTION_STRIDE, frames - 1)
    return reduce((coarse[:, stride:] - coarse[:, :-stride]).abs(), "B T C H W -> B", "mean")


def edge_sharpness(video_BTCHW: Tensor) -> Tensor:
    """Root mean square of the luma gradient by 3x3 Sobel masks (Tenengrad; Krotkov 1988); `[B]`."""
    luma = (video_BTCHW * video_BTCHW.new_tensor(_LUMA)[:, None, None]).sum(dim=2)
    batch = luma.shape[0]
    sobel = luma.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    gradient = F.conv2d(rearrange(luma, "B T H W -> (B T) 1 H W"), torch.stack([sobel, sobel.T])[:, None])
    return reduce(gradient.square(), "(B T) C H W -> B", "mean", B=batch).mul(2).sqrt()


def flicker(video_BTCHW: Tensor) -> Tensor:
    """Mean absolute second difference over time, `|x[t-1] - 2 x[t] + x[t+1]|`; steady change has none; `[B]`."""
    if video_BTCHW.shape[1] < 3:
        return video_BTCHW.new_zeros(video_BTCHW.shape[0])
    second = video_BTCHW[:, 2:] - 2 * video_BTCHW[:, 1:-1] + video_BTCHW[:, :-2]
    return reduce(second.abs(), "B T C H W -> B", "mean")


def drift(video_BTCHW: Tensor) -> Tensor:
    """How far the mean and the spread of each colour wander from the first quarter to the last; `[B]`."""
    quarter = max(1, video_BTCHW.shape[1] // 4)
    ends = torch.stack([video_BTCHW[:, :quarter], video_BTCHW[:, -quarter:]])
    pixels = rearrange(ends, "end B T C H W -> end B C (T H W)")
    moments = torch.stack([pixels.mean(dim=-1), pixels.std(dim=-1, correction=0)])
    return reduce((moments[:, 1] - moments[:, 0]).abs(), "moment B C -> B", "mean")


def thumbnail(video_BTCHW: Tensor, cells: int = 16) -> Tensor:
    """What `nearest_distance` compares: the first, middle and last frame at `cells` x `cells`; `[B, D]`."""
    frames = video_BTCHW[:, [0, video_BTCHW.shape[1] // 2, -1]]
    batch = frames.shape[0]
    small = F.adaptive_avg_pool2d(rearrange(frames, "B T C H W -> (B T) C H W"), cells)
    return rearrange(small, "(B T) C H W -> B (T C H W)", B=batch)


def nearest_distance(thumbnail_BD: Tensor, reference_ND: Tensor) -> Tensor:
    """Root mean square difference to the nearest reference thumbnail, in pixel units; `[B]`."""
    return torch.cdist(thumbnail_BD, reference_ND).amin(dim=1) / math.sqrt(thumbnail_BD.shape[1])


def _coarse(video_BTCHW: Tensor, cell: int) -> Tensor:
    batch = video_BTCHW.shape[0]
    pooled = F.avg_pool2d(rearrange(video_BTCHW, "B T C H W -> (B T) C H W"), cell)
    return rearrange(pooled, "(B T) C H W -> B T C H W", B=batch)
