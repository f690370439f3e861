"""Draw the subjects of a batch of frames: group them by kind, paint each in a box of its own, paste.

Shape suffixes: N frames, M subjects (of all frames in a row), C channels, H W size (of a box, where a sprite is meant).
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
from kinemark.worlds.spec import MAX_SUBJECTS
from kinemark.worlds.sprite import Painted, Pose, Sprite

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Figure:
    """How to draw a kind, and the box that it never leaves, at size 1: from its middle sideways, up, down."""

    draw: Callable[[Sprite], None]
    aside: float
    above: float
    below: float


#: In the order of `spec.KINDS`.
FIGURES: Final = (
    Figure(bird, 0.64, 0.52, 0.42),
    Figure(balloon, 0.52, 0.58, 0.58),
    Figure(kite, 0.58, 0.64, 0.68),
    Figure(plane, 0.60, 0.38, 0.38),
    Figure(butterfly, 0.58, 0.54, 0.50),
    Figure(car, 0.58, 0.30, 0.34),
    Figure(ball, 0.52, 1.02, 0.54),
    Figure(rabbit, 0.58, 0.80, 0.58),
    Figure(dog, 0.60, 0.44, 0.48),
    Figure(train, 0.70, 0.76, 0.38),
    Figure(robot, 0.46, 0.56, 0.58),
    Figure(sailboat, 0.58, 0.66, 0.58),
    Figure(duck, 0.60, 0.46, 0.50),
    Figure(whale, 0.66, 0.66, 0.36),
)
#: Room for the outline in any look, and for the paper shadow and the neon glow; in heights of the picture.
_FLAT_RIM: Final = 0.02
_RIM: Final = 0.075


@dataclass(frozen=True, slots=True)
class Placed:
    """All subjects of all frames, `[M]` each, lengths in heights of the picture."""

    frame: Tensor
    ordinal: Tensor
    kind: Tensor
    colour: Tensor
    x: Tensor  # from the middle of the picture
    y: Tensor
    size: Tensor
    facing: Tensor
    clock: Tensor
    light_MC: Tensor
    paper: Tensor
    neon: Tensor

    def pose(self, index: Tensor) -> Pose:
        """What a sprite needs to know of some of them."""

        def wide(value_M: Tensor) -> Tensor:
            return value_M[index][:, None, None]

        table = self.light_MC.new_tensor(COLOUR_RGB)
        return Pose(
            size=wide(self.size),
            facing=wide(self.facing),
            clock=wide(self.clock),
            colour=table[self.colour[index]][..., None, None],
            light=self.light_MC[index][..., None, None],
            paper=wide(self.paper),
            neon=wide(self.neon),
        )


@dataclass(frozen=True, slots=True)
class _Pasted:
    """Painted sprites and where they go."""

    painted: Painted
    frame: Tensor
    row_NH: Tensor
    column_NW: Tensor
    ordinals: list[int]


def paint_subjects(image_NCHW: Tensor, mask_NHW: Tensor, placed: Placed) -> None:
    """Paint every subject into its frame, in place, the second behind the first.

    Args:
        image_NCHW: the pictures.
        mask_NHW: where subjects are; the greater of old and new is kept.
        placed: the subjects.
    """
    groups: dict[int, list[int]] = {}
    for member, kind in enumerate(placed.kind.tolist()):
        groups.setdefault(kind, []).append(member)
    ordinals = placed.ordinal.tolist()
    places = torch.stack([placed.x, placed.y, placed.size], 1).tolist()
    rim = _RIM if bool((placed.paper | placed.neon).any()) else _FLAT_RIM
    sprites = [
        _paint_kind(image_NCHW, placed, FIGURES[kind], members, [places[m] for m in members], ordinals, rim)
        for kind, members in groups.items()
    ]
    for ordinal in reversed(range(MAX_SUBJECTS)):
        for sprite in sprites:
            _paste(image_NCHW, mask_NHW, sprite, ordinal)


def _paint_kind(
    image_NCHW: Tensor,
    placed: Placed,
    figure: Figure,
    members: list[int],
    places: list[list[float]],
    ordinals: list[int],
    rim: float,
) -> _Pasted:
    rows, columns = image_NCHW.shape[2:]
    device = image_NCHW.device
    index = torch.tensor(members, device=device)
    largest = max(size for _, _, size in places)
    box_rows = min(rows, math.ceil(((figure.above + figure.below) * largest + 2 * rim) * rows) + 2)
    box_columns = min(columns, math.ceil((2 * figure.aside * largest + 2 * rim) * rows) + 2)
    tops = [_first((y - figure.above * size - rim) * rows, box_rows, rows) for _, y, size in places]
    lefts = [
        _first((x - figure.aside * size - rim) * rows + 0.5 * columns, box_columns, columns) for x, _, size in places
    ]
    row = torch.tensor(tops, device=device)[:, None] + torch.arange(box_rows, device=device)
    column = torch.tensor(lefts, device=device)[:, None] + torch.arange(box_columns, device=device)
    dx = (column + 0.5) / rows - 0.5 * columns / rows - placed.x[index][:, None]
    dy = (row + 0.5) / rows - placed.y[index][:, None]
    sprite = Sprite(dx[:, None, :], dy[:, :, None], 1.0 / rows, placed.pose(index))
    figure.draw(sprite)
    return _Pasted(sprite.paint(), placed.frame[index], row, column, [ordinals[member] for member in members])


def _first(start: float, count: int, limit: int) -> int:
    """First row or column of a box of `count` that begins near `start` and lies inside the picture."""
    return max(0, min(limit - count, math.floor(start)))


def _paste(image_NCHW: Tensor, mask_NHW: Tensor, sprite: _Pasted, ordinal: int) -> None:
    chosen = [position for position, value in enumerate(sprite.ordinals) if value == ordinal]
    if not chosen:
        return
    painted = sprite.painted
    colour, alpha, mask = painted.colour_NCHW, painted.alpha_NHW, painted.mask_NHW
    frame, row, column = sprite.frame, sprite.row_NH, sprite.column_NW
    if len(chosen) < len(sprite.ordinals):
        index = torch.tensor(chosen, device=image_NCHW.device)
        colour, alpha, mask, frame, row, column = (value[index] for value in (colour, alpha, mask, frame, row, column))
    where = (frame[:, None, None], row[:, :, None], column[:, None, :])
    mask_NHW[where] = torch.maximum(mask_NHW[where], mask)
    pixels = image_NCHW.movedim(1, 3)  # a view, so that one index serves all channels
    pixels[where] = torch.lerp(pixels[where], colour.movedim(1, 3), alpha[..., None])
