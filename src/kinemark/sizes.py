"""What a model makes: sizes and rates, and how a picture is brought to the grid that it runs on.

Shapes: C channels, H W size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SizeRange:
    """The sizes that a model makes: each side has `least` to `most` pixels, and is run at a multiple of `multiple`."""

    multiple: int
    least: int
    most: int

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size (height, width) that is run to make `size`: each side rounded up to the multiple."""
        height, width = (-(-side // self.multiple) * self.multiple for side in size)
        return height, width


@dataclass(frozen=True, slots=True)
class Target:
    """What a request has to know of the model that it is for, before that is loaded.

    Attributes:
        fps: frames a second that the model learnt to move at.
        size: height and width in pixels where nobody asks for another.
        sizes: which it makes.
        frames: the most that it was trained to make at once; None: a clip may be as long as is asked.
    """

    fps: int
    size: tuple[int, int]
    sizes: SizeRange
    frames: int | None = None


SPARK_SIZES: Final = SizeRange(multiple=32, least=128, most=512)


def mirrored_to(size: tuple[int, int], picture_CHW: Tensor) -> Tensor:
    """A picture at a size (height, width) that is not smaller, in its centre, mirrored at its borders."""
    rows, columns = (_mirrored(side, full) for side, full in zip(picture_CHW.shape[1:], size, strict=True))
    return picture_CHW[:, rows][:, :, columns]


def _mirrored(length: int, full: int) -> list[int]:
    """Indices that pad `length` pixels to `full` by mirroring at both edges, the picture in the centre."""
    period = max(1, 2 * (length - 1))
    before = (full - length) // 2
    return [min(i % period, period - i % period) for i in range(-before, full - before)]
