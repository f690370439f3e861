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
from kinemark.worlds.shapes import coverage, turned

if TYPE_CHECKING:
    from torch import Tensor

_OUTLINE: Final = 0.0125
_NEON_BODY: Final = 0.62


@dataclass(frozen=True, slots=True)
class Pose:
    """Where N sprites are and how they are lit, `[N, 1, 1]` each unless said."""

    size: Tensor
    facing: Tensor
    clock: Tensor
    colour: Tensor  # [N, 3, 1, 1], as named, before the light
    light: Tensor  # [N, 3, 1, 1]
    paper: Tensor
    neon: Tensor


@dataclass(frozen=True, slots=True)
class Painted:
    """A sprite as pixels: premultiplied by nothing; `mask` is the subject alone, `alpha` includes outline and shadow."""

    colour_NCHW: Tensor
    alpha_NHW: Tensor
    mask_NHW: Tensor


class Sprite:
    """Collects the parts of N subjects of one kind; `paint` turns them into pixels.

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
        self._parts: list[tuple[Tensor, Tensor]] = []
        self._extras: list[tuple[Tensor, Tensor, Tensor]] = []
        self._clip: Tensor | None = None

    def swing(self, period: float, shift: float = 0.0) -> Tensor:
        """`[N, 1, 1]`, a sine of the clock between -1 and 1; `shift` in turns."""
        return torch.sin(self.clock * (math.tau / period) + shift * math.tau)

    def move(self, right: Tensor | float = 0.0, down: Tensor | float = 0.0, turn: Tensor | float = 0.0) -> None:
        """Move and turn everything that is added from now on; `turn` in radians clockwise (nose down)."""
        self.u, self.v = turned(self.u - right, self.v - down, turn)

    def body(self, distance: Tensor, shade: float = 1.0) -> None:
        """Add a part in the subject's own colour; `shade` below 1 is darker, above 1 lighter."""
        colour = self.pose.colour
        if shade < 1.0:
            colour = colour * shade + 0.035 * (1.0 - shade)
        elif shade > 1.0:
            colour = torch.lerp(colour, torch.ones_like(colour), shade - 1.0)
        self._parts.append((distance, colour))

    def part(self, distance: Tensor, rgb: Rgb) -> None:
        """Add a part in a colour of its own."""
        self._parts.append((distance, self.pose.colour.new_tensor(rgb).view(1, 3, 1, 1)))

    def marking(self, distance: Tensor, within: Tensor, rgb: Rgb) -> None:
        """Add a part that shows only inside another."""
        self.part(torch.maximum(distance, within), rgb)

    def extra(self, distance: Tensor, rgb: Rgb, alpha: Tensor | float, softness: float = 0.0) -> None:
        """Add something behind the subject that is not the subject: a shadow, smoke, a wake."""
        cover = (0.5 - distance / (self.pixel + softness)).clamp(0.0, 1.0) * alpha
        self._extras.append((distance, self.pose.colour.new_tensor(rgb).view(1, 3, 1, 1), cover))

    def water_line(self, v: Tensor) -> None:
        """Hide every part below a line (distance `v`, positive under water)."""
        self._clip = v

    def paint(self) -> Painted:
        """Lay all parts over each other, with a common outline, the paper shadow and the neon glow."""
        parts = [
            (distance if self._clip is None else torch.maximum(distance, self._clip), colour)
            for distance, colour in self._parts
        ]
        whole = parts[0][0]
        for distance, _ in parts[1:]:
            whole = torch.minimum(whole, distance)
        mask = coverage(whole, self.pixel)
        count, height, width = mask.shape
        image = self._outline_colour().expand(count, 3, height, width).clone()
        for distance, colour in parts:
            image.lerp_((colour * self._light()).expand_as(image), coverage(distance, self.pixel)[:, None])
        alpha = coverage(whole - _OUTLINE / self.pose.size, self.pixel)
        return self._finish(image, alpha, mask, whole)

    def _light(self) -> Tensor:
        return torch.where(self.pose.neon[:, None], self.pose.light * _NEON_BODY, self.pose.light)

    def _outline_colour(self) -> Tensor:
        bright = luminance(self.pose.colour)
        dark = self.pose.colour * 0.38 * self.pose.light
        pale = torch.full_like(dark, 0.78) * self.pose.light
        grey = torch.full_like(dark, 0.30) * self.pose.light
        outline = torch.where(bright < 0.02, pale, torch.where(bright > 0.9, grey, dark))
        tube = vivid(torch.where(bright < 0.02, torch.full_like(dark, 0.6), self.pose.colour))
        return torch.where(self.pose.neon[:, None], tube, outline)

    def _finish(self, image: Tensor, alpha: Tensor, mask: Tensor, whole: Tensor) -> Painted:
        """Put extras, the paper shadow and the neon glow behind the figure: colour and opacity of all together."""
        behind: list[tuple[Tensor, Tensor]] = [(colour * self.pose.light, cover) for _, colour, cover in self._extras]
        away = whole * self.pose.size
        if bool(self.pose.paper.any()):
            dropped = (1.0 - (away - 0.012) / 0.03).clamp(0.0, 1.0) ** 2 * 0.4 * self.pose.paper
            behind.append((torch.zeros_like(self.pose.light), dropped))
        if bool(self.pose.neon.any()):
            glow = (1.0 - away.clamp_min(0.0) / 0.07).clamp(0.0, 1.0) ** 2 * 0.55 * self.pose.neon
            behind.append((self._outline_colour(), glow))
        for colour, cover in reversed(behind):
            total = alpha + cover * (1.0 - alpha)
            share = alpha / total.clamp_min(1e-4)
            image = torch.lerp(colour.expand_as(image), image, share[:, None])
            alpha = total
        return Painted(image, alpha, mask)
