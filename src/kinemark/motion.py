"""How a picture goes on for a moment: what is seen in it, moved along as it moves.

Shape suffixes: C channels, H W size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

#: How far flow there and back may miss its start, in pixels, and how far a moved picture may be off, to be believed.
_ASTRAY: Final = 2.0
_OFF: Final = 0.12
#: Pixels around a place that are believed, or not, together.
_AROUND: Final = 9


@dataclass(frozen=True, slots=True)
class Course:
    """A picture, and how what is in it moves away from its neighbour.

    Attributes:
        picture_CHW: the picture, in [0, 1].
        origin_2HW: for each of its pixels, where in the neighbour it is: (across, down), in pixels from its place.
        sure_1HW: how much that is to be believed, in 0..1.
    """

    picture_CHW: Tensor
    origin_2HW: Tensor
    sure_1HW: Tensor

    @classmethod
    def away_from(cls, neighbour_CHW: Tensor, picture_CHW: Tensor) -> Course:
        """How a picture came from the frame before it, or, backwards, from the one after it.

        Dense optical flow (DIS: Kroeger et al., arXiv 1603.03590), believed where the flow back leads to where it
        began and the neighbour, moved by it, looks as the picture does.
        """
        origin_2HW, back_2HW = _flow(picture_CHW, neighbour_CHW), _flow(neighbour_CHW, picture_CHW)
        astray_1HW = (origin_2HW + _moved(back_2HW, origin_2HW)).square().sum(0, keepdim=True)
        off_1HW = (_moved(neighbour_CHW, origin_2HW) - picture_CHW).abs().mean(0, keepdim=True)
        sure_1HW = torch.exp(-astray_1HW / _ASTRAY**2 - (off_1HW / _OFF).square())
        around = functional.avg_pool2d(sure_1HW, _AROUND, stride=1, padding=_AROUND // 2, count_include_pad=False)
        return cls(picture_CHW, origin_2HW, around)

    def after(self, steps: int) -> tuple[Tensor, Tensor]:
        """What is seen so many frames further on, if all goes on as it did, and how much of it is to be believed."""
        origin_2HW = self.origin_2HW * steps
        return _moved(self.picture_CHW, origin_2HW), _moved(self.sure_1HW, origin_2HW)


def _flow(one_CHW: Tensor, other_CHW: Tensor) -> Tensor:
    """For each pixel of one frame, how far away it is in the other, `[2, H, W]` in pixels."""
    import cv2  # only where a clip has an end that is given: it takes a while to import

    def grey(frame_CHW: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        return (frame_CHW.mean(0) * 255).round().to(torch.uint8).numpy()

    flow_HW2 = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(grey(one_CHW), grey(other_CHW), None)  # type: ignore[call-overload]
    return torch.from_numpy(np.ascontiguousarray(flow_HW2.transpose(2, 0, 1)))


def _moved(x_CHW: Tensor, origin_2HW: Tensor) -> Tensor:
    """A picture of which each pixel comes from somewhere else; what lies beyond the edge is as the edge."""
    height, width = x_CHW.shape[-2:]
    down, across = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid_HW2 = torch.stack(
        [(across + origin_2HW[0] + 0.5) / width * 2 - 1, (down + origin_2HW[1] + 0.5) / height * 2 - 1], dim=-1
    )
    return functional.grid_sample(x_CHW[None], grid_HW2[None], padding_mode="border", align_corners=False)[0]
