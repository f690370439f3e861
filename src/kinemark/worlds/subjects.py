"""Draw the subjects of a batch of frames: group them by kind, paint each in a box of its own, paste.

Shape suffixes: N frames, S subject, C channels, H W size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.figures_air import balloon, bird, butterfly, kite, plane
from kinemark.worlds.figures_ground import ball, car, dog, rabbit, robot, train
from kinemark.worlds.figures_water import duck, sailboat, whale
from kinemark.worlds.palette import COLOUR_RGB
from kinemark.worlds.spec import KINDS
from kinemark.worlds.sprite import Pose, Sprite

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

#: In the order of `spec.KINDS`.
FIGURES: Final[tuple[Callable[[Sprite], None], ...]] = (
    bird,
    balloon,
    kite,
    plane,
    butterfly,
    car,
    ball,
    rabbit,
    dog,
    train,
    robot,
    sailboat,
    duck,
    whale,
)
#: Half a side of the box that a figure of size 1 is painted in: everything it does must fit, outline and glow apart.
_BOX: Final = {"train": 0.95, "ball": 1.05, "rabbit": 0.95, "whale": 0.85, "car": 0.78, "duck": 0.8, "kite": 0.85}
_BOX_OTHERS: Final = 0.72
_GLOW: Final = 0.08


@dataclass(frozen=True, slots=True)
class Placed:
    """One subject of each of N frames, `[N]` each, lengths in heights of the picture."""

    kind: Tensor
    colour: Tensor
    x: Tensor  # from the middle of the picture
    y: Tensor
    size: Tensor
    facing: Tensor
    clock: Tensor
    light_NC: Tensor
    paper: Tensor
    neon: Tensor

    def pose(self, index: Tensor) -> Pose:
        """What a sprite needs to know of some of them."""

        def spread(value_N: Tensor) -> Tensor:
            return value_N[index][:, None, None]

        table = self.light_NC.new_tensor(COLOUR_RGB)
        return Pose(
            size=spread(self.size),
            facing=spread(self.facing),
            clock=spread(self.clock),
            colour=table[self.colour[index]][..., None, None],
            light=self.light_NC[index][..., None, None],
            paper=spread(self.paper),
            neon=spread(self.neon),
        )


def paint_subjects(image_NCHW: Tensor, mask_NHW: Tensor, placed: Placed, kinds: list[int]) -> None:
    """Paint one subject into each frame that has one, in place.

    Args:
        image_NCHW: the pictures.
        mask_NHW: where subjects are; the greater of old and new is kept.
        placed: the subjects.
        kinds: `placed.kind` as a list, -1 where a frame has none.
    """
    boxes = (torch.stack([placed.x, placed.y, placed.size], 1)).tolist()
    for code, name in enumerate(KINDS):
        members = [frame for frame, kind in enumerate(kinds) if kind == code]
        if members:
            half = _BOX.get(name, _BOX_OTHERS)
            index = torch.tensor(members, device=image_NCHW.device)
            _paint_kind(image_NCHW, mask_NHW, placed, index, FIGURES[code], [boxes[i] for i in members], half)


def _paint_kind(
    image_NCHW: Tensor,
    mask_NHW: Tensor,
    placed: Placed,
    index: Tensor,
    figure: Callable[[Sprite], None],
    boxes: list[list[float]],
    half: float,
) -> None:
    rows, columns = image_NCHW.shape[2:]
    device = image_NCHW.device
    side = max(2.0 * (half * size + _GLOW) for _, _, size in boxes)
    box_rows, box_columns = (min(limit, math.ceil(side * rows) + 2) for limit in (rows, columns))
    tops = [_first(y, box_rows, rows, rows) for _, y, _ in boxes]
    lefts = [_first(x + 0.5 * columns / rows, box_columns, rows, columns) for x, _, _ in boxes]
    row = torch.tensor(tops, device=device)[:, None] + torch.arange(box_rows, device=device)
    column = torch.tensor(lefts, device=device)[:, None] + torch.arange(box_columns, device=device)
    dx = (column + 0.5) / rows - 0.5 * columns / rows - placed.x[index][:, None]
    dy = (row + 0.5) / rows - placed.y[index][:, None]
    sprite = Sprite(dx[:, None, :], dy[:, :, None], 1.0 / rows, placed.pose(index))
    figure(sprite)
    painted = sprite.paint()
    where = (index[:, None, None], row[:, :, None], column[:, None, :])
    mask_NHW[where] = torch.maximum(mask_NHW[where], painted.mask_NHW)
    channels = image_NCHW.movedim(1, 3)  # a view, so that one index serves all channels
    behind = channels[where]
    alpha = painted.alpha_NHW[..., None]
    channels[where] = torch.lerp(behind, painted.colour_NCHW.movedim(1, 3), alpha)


def _first(middle: float, count: int, rows: int, limit: int) -> int:
    """First row or column of a box of `count` around `middle` (in heights) that lies inside the picture."""
    return max(0, min(limit - count, round(middle * rows - 0.5 * count)))
