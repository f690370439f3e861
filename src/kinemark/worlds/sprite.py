"""A subject being drawn: its own coordinates, its parts, and how they become pixels.

A sprite's coordinates (u, v) have their origin in its middle, u points where it looks, v down, and its larger side is
about 1. Parts are signed distances in these units; all are outlined together, so that a black one stands out at night
and a white one on snow.

Shape suffixes: N sprites, C channels, H W size (of the box around the sprite, not of the picture).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.palette import Rgb, luminance, vivid
from kinemark.worlds.shapes import turned

if TYPE_CHECKING:
    from torch import Tensor

#: Width of the outline, in heights of the picture.
_OUTLINE: Final = 0.0156
#: Half of the finest stroke that is drawn: six pixels of a picture 256 high are its whole width.
_FINEST: Final = 0.0117
#: Luminances below and above which a colour counts as black or white, and gets an outline of the other kind.
_BLACK: Final = 0.1
_WHITE: Final = 0.9
_NEON_BODY: Final = 0.62
_PAPER_SHADOW: Final = (0.012, 0.03, 0.4)  # offset, reach, strength
_NEON_GLOW: Final = (0.07, 0.55)  # reach, strength


@dataclass(frozen=True, slots=True)
class Pose:
    """How N sprites stand and are lit: quantities `[N, 1, 1]`, colours `[N, 3, 1, 1]`."""

    size: Tensor
    facing: Tensor  # +1 or -1
    clock: Tensor  # seconds
    colour: Tensor  # as named, before the light
    light: Tensor
    paper: Tensor  # bool
    neon: Tensor  # bool


@dataclass(frozen=True, slots=True)
class Painted:
    """A sprite as pixels: its colour, how much it covers with all that goes with it, and the subject alone."""

    colour_NCHW: Tensor
    alpha_NHW: Tensor
    mask_NHW: Tensor


class Sprite:
    """Collects the parts of N subjects of one kind, the hindmost first; `paint` turns them into pixels.

    Args:
        dx: `[N, 1, W]`, pixel positions from the sprite's middle to the right, in heights of the picture.
        dy: `[N, H, 1]`, downwards.
        pixel: size of a pixel in the same unit.
        pose: the rest.
    """

    def __init__(self, dx: Tensor, dy: Tensor, pixel: float, pose: Pose) -> None:
        self.pose = pose
        self.clock = pose.clock
        self.u = dx * pose.facing / pose.size
        self.v = dy / pose.size
        self.pixel = pixel / pose.size
        self._half = dx.new_tensor(0.5)
        self._sharpness = -1.0 / self.pixel
        self._light = torch.where(pose.neon[:, None], pose.light * _NEON_BODY, pose.light)
        self._body = pose.colour * self._light
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._backdrop: list[tuple[Tensor, Tensor]] = []
        self._water: Tensor | None = None

    def swing(self, period: float, shift: float = 0.0) -> Tensor:
        """`[N, 1, 1]`, a sine of the clock between -1 and 1; `period` in seconds, `shift` in turns."""
        return torch.sin(self.clock * (math.tau / period) + shift * math.tau)

    def fine(self, half: float) -> Tensor:
        """`[N, 1, 1]`: half the width of a detail, widened where the sprite is so small that it would vanish."""
        return (_FINEST / self.pose.size).clamp_min(half)

    def move(self, right: Tensor | float = 0.0, down: Tensor | float = 0.0, turn: Tensor | float = 0.0) -> None:
        """Move and turn everything that is added from now on; `turn` in radians clockwise (nose down)."""
        self.u, self.v = turned(self.u - right, self.v - down, turn)

    def body(self, distance: Tensor, shade: float = 1.0) -> None:
        """Add a part in the subject's own colour; `shade` below 1 is darker, above 1 lighter."""
        colour = self._body
        if shade < 1.0:
            colour = torch.lerp(self._light * 0.035, colour, shade)
        elif shade > 1.0:
            colour = torch.lerp(colour, self._light, shade - 1.0)
        self._parts.append((distance, colour))

    def part(self, distance: Tensor, rgb: Rgb) -> None:
        """Add a part in a colour of its own."""
        self._parts.append((distance, self._lit(rgb)))

    def marking(self, distance: Tensor, within: Tensor, rgb: Rgb) -> None:
        """Add a part that shows only inside another."""
        self.part(torch.maximum(distance, within), rgb)

    def backdrop(self, distance: Tensor, rgb: Rgb, alpha: Tensor | float, softness: float = 0.0) -> None:
        """Add something behind the subject that is not the subject: a shadow, smoke, a wake.

        `softness` widens its edge, in the sprite's units.
        """
        cover = (0.5 - distance / (self.pixel + softness)).clamp_(0.0, 1.0) * alpha
        self._backdrop.append((self._lit(rgb), cover))

    def water_line(self, depth: Tensor) -> None:
        """Hide what is under water; `depth` is positive there."""
        self._water = self._coverage(depth)

    def paint(self) -> Painted:
        """Lay all parts over each other, with a common outline, the paper shadow and the neon glow."""
        whole = self._parts[0][0]
        for distance, _ in self._parts[1:]:
            whole = torch.minimum(whole, distance)
        mask = self._coverage(whole)
        alpha = self._coverage(whole - _OUTLINE / self.pose.size)
        if self._water is not None:
            mask, alpha = mask * self._water, alpha * self._water
        count, height, width = mask.shape
        image = self._outline_colour().expand(count, 3, height, width).clone()
        for distance, colour in self._parts:
            image.lerp_(colour.expand_as(image), self._coverage(distance)[:, None])
        return self._with_backdrop(image, alpha, mask, whole * self.pose.size)

    def _lit(self, rgb: Rgb) -> Tensor:
        return self._light * self._light.new_tensor(rgb).view(1, 3, 1, 1)

    def _coverage(self, distance: Tensor) -> Tensor:
        return torch.addcmul(self._half, distance, self._sharpness).clamp_(0.0, 1.0)

    def _outline_colour(self) -> Tensor:
        """Dark for most colours, pale around black, grey around white, a glowing tube in neon."""
        bright = luminance(self.pose.colour)
        shade = torch.where(bright < _BLACK, 0.78, torch.where(bright > _WHITE, 0.30, 0.0))
        outline = torch.where(shade > 0.0, shade, self.pose.colour * 0.38) * self.pose.light
        tube = vivid(torch.where(bright < _BLACK, 0.6, self.pose.colour))
        return torch.where(self.pose.neon[:, None], tube, outline)

    def _with_backdrop(self, image: Tensor, alpha: Tensor, mask: Tensor, away: Tensor) -> Painted:
        """Put what is behind the figure behind it, the nearest first; `away` is the distance from the figure."""
        behind = list(reversed(self._backdrop))
        if bool(self.pose.neon.any()):
            reach, strength = _NEON_GLOW
            glow = (1.0 - away.clamp_min(0.0) / reach).clamp_(0.0, 1.0) ** 2 * strength * self.pose.neon
            behind.insert(0, (self._outline_colour(), glow))
        if bool(self.pose.paper.any()):
            offset, reach, strength = _PAPER_SHADOW
            dropped = (1.0 - (away - offset) / reach).clamp_(0.0, 1.0) ** 2 * strength * self.pose.paper
            behind.insert(0, (torch.zeros_like(self._light), dropped))
        for colour, cover in behind:
            total = alpha + cover * (1.0 - alpha)
            image = torch.lerp(colour.expand_as(image), image, (alpha / total.clamp_min(1e-4))[:, None])
            alpha = total
        return Painted(image, alpha, mask)
