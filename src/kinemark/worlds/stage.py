"""The stage that scenery is painted on: N frames at once, their coordinates, light, look and random draws.

Painting is by signed distance: what is inside a distance of zero gets a colour, with an edge one pixel wide at any
size. The looks are here too, so that no setting has to know of them: in `paper` every layer drops a shadow on what is
behind, in `neon` it is filled darkly and its edge glows.

Shape suffixes: N frames, C channels, H W size; 1 where a tensor broadcasts. Lengths are in heights of the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.motion import ZOOM, ZOOM_PIVOT
from kinemark.worlds.noise import spread
from kinemark.worlds.palette import Light, Rgb, luminance, vivid

if TYPE_CHECKING:
    from torch import Tensor

_SHADOW_REACH: Final = 0.035
_SHADOW_DROP: Final = 0.010
_SHADOW_STRENGTH: Final = 0.34
_TUBE: Final = 0.025
_GLOW_REACH: Final = 0.060
_GLOW_STRENGTH: Final = 0.38
_NEON_FILL: Final = 0.15


@dataclass(frozen=True, slots=True)
class View:
    """Where N frames look: pixel coordinates in the scenery, seeds, times and light."""

    draws_NR: Tensor  # random numbers of the scene, by stream
    time_N11: Tensor
    x_N1W: Tensor  # 0 in the middle of the picture, to the right
    y_NH1: Tensor  # 0 at the top of an unmoved picture, downwards
    pan_N11: Tensor
    pixel_N11: Tensor
    horizon_N11: Tensor
    weather_N: Tensor
    paper_N: Tensor  # bool
    neon_N: Tensor  # bool
    light: Light
    aspect: float

    def select(self, index: Tensor) -> View:
        """Some of the frames."""
        return View(
            self.draws_NR[index],
            self.time_N11[index],
            self.x_N1W[index],
            self.y_NH1[index],
            self.pan_N11[index],
            self.pixel_N11[index],
            self.horizon_N11[index],
            self.weather_N[index],
            self.paper_N[index],
            self.neon_N[index],
            self.light.select(index),
            self.aspect,
        )


def drop_shadow(distance: Tensor) -> Tensor:
    """How much of the light a paper layer takes from what is `distance` outside its edge: 0 to 1."""
    return (1.0 - (distance - _SHADOW_DROP) / _SHADOW_REACH).clamp_(0.0, 1.0) ** 2 * _SHADOW_STRENGTH


class Stage:
    """N frames that are being painted. `image_NCHW` is written in place."""

    def __init__(self, image_NCHW: Tensor, view: View) -> None:
        self.image_NCHW = image_NCHW
        self.view = view
        self.x = view.x_N1W
        self.y = view.y_NH1
        self.time = view.time_N11
        self.pixel = view.pixel_N11
        self.horizon = view.horizon_N11
        self.light = view.light
        self._half = image_NCHW.new_tensor(0.5)
        self._sharpness = -1.0 / view.pixel_N11
        self.paper = view.paper_N.nonzero()[:, 0] if bool(view.paper_N.any()) else None
        self.neon = view.neon_N.nonzero()[:, 0] if bool(view.neon_N.any()) else None

    def band(self, top: float, bottom: float) -> Stage:
        """The rows that can show scenery between two heights, whatever the camera does; paints the same image."""
        rows = self.image_NCHW.shape[2]
        slack = 0.13
        first = max(0, math.floor((ZOOM_PIVOT + (top - ZOOM_PIVOT) * ZOOM - slack) * rows)) if top > 0 else 0
        last = min(rows, math.ceil((ZOOM_PIVOT + (bottom - ZOOM_PIVOT) * ZOOM + slack) * rows))
        part = object.__new__(Stage)
        part.__dict__.update(self.__dict__)
        part.image_NCHW = self.image_NCHW[:, :, first:last]
        part.y = self.y[:, first:last]
        return part

    def subset(self, index: Tensor) -> Stage:
        """Some of the frames, copied; `put` writes them back."""
        return Stage(self.image_NCHW[index], self.view.select(index))

    def put(self, index: Tensor, part: Stage) -> None:
        """Write a `subset` back."""
        self.image_NCHW[index] = part.image_NCHW

    def random(self, stream: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """`[N, 1, 1]` uniform in [low, high)."""
        draw = self.view.draws_NR[:, stream, None, None]
        return draw if (low, high) == (0.0, 1.0) else draw * (high - low) + low

    def cell_random(self, stream: int, cell: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform in [low, high) for each cell, in the shape of `cell` (whole numbers)."""
        draw = spread(cell, self.random(stream), stream)
        return draw if (low, high) == (0.0, 1.0) else draw * (high - low) + low

    def coverage(self, distance: Tensor) -> Tensor:
        """The share of each pixel that lies inside (`shapes.coverage`)."""
        return torch.addcmul(self._half, distance, self._sharpness).clamp_(0.0, 1.0)

    def blob(self, squared: Tensor, spread: float | Tensor) -> Tensor:
        """Opacity of a soft round spot (a Gaussian) at a squared distance from its middle, averaged over each pixel.

        The average of a Gaussian of variance s^2 over a square of side p is, to fourth order, one of s^2 + p^2 / 12.
        """
        variance = spread * spread + self.pixel * self.pixel / 12.0
        return torch.exp(squared * (-0.5 / variance)) * (spread * spread / variance)

    def layer_x(self, depth: float) -> Tensor:
        """`[N, 1, W]`: x on a layer that moves `depth` times as much as the ground when the camera pans."""
        return self.x + self.view.pan_N11 * depth

    def tone(self, rgb: Rgb, haze: float = 0.0, *, tint: float = 1.0) -> Tensor:
        """`[N, 3, 1, 1]`: a colour of the scenery in the present light.

        It is faded by `haze` into the low sky; `tint` below 1 lets it take on less of the light's colour and darkness.
        """
        light = self.light.sunshine if tint == 1.0 else 1.0 - tint + tint * self.light.sunshine
        colour = self.constant(rgb) * light
        return torch.lerp(colour, self.light.sky_low, haze) if haze else colour

    def mixed(self, colour: Tensor, other: Tensor, distance: Tensor) -> Tensor:
        """`[N, 3, H, W]`: a colour with markings in another inside a distance, to fill a figure with at once.

        Filling twice would blend twice along the edge that figure and marking share.
        """
        return torch.lerp(
            colour.expand_as(self.image_NCHW), other.expand_as(self.image_NCHW), self.coverage(distance)[:, None]
        )

    def constant(self, rgb: Rgb) -> Tensor:
        """`[1, 3, 1, 1]`: a colour whatever the light."""
        return self.image_NCHW.new_tensor(rgb).view(1, 3, 1, 1)

    def ridge(self, x: Tensor, stream: int, height: float | Tensor, swing: float, length: float) -> Tensor:
        """`[N, 1, W]`: the y of rolling hills; `swing` is their amplitude, `length` the longest wave."""
        first, second = self.random(stream, 0.0, math.tau), self.random(stream + 1, 0.0, math.tau)
        wave = 0.66 * torch.sin(x * (math.tau / length) + first) + 0.34 * torch.sin(
            x * (math.tau / length * 2.3) + second
        )
        if self.paper is not None:
            wave = wave + self.view.paper_N[:, None, None] * (0.05 / swing * 0.1) * torch.sin(x * 47.0 + 3.0 * first)
        return height + swing * wave

    def below(self, edge_N1W: Tensor) -> Tensor:
        """`[N, H, W]`: distance to everything below a curve y(x), negative below."""
        step = self.x[:, :, 1:2] - self.x[:, :, :1]
        slope = torch.diff(edge_N1W, dim=2) / step
        slope = torch.cat([slope[:, :, :1], 0.5 * (slope[:, :, 1:] + slope[:, :, :-1]), slope[:, :, -1:]], 2)
        return (edge_N1W - self.y) * torch.rsqrt(1.0 + slope * slope)

    def fill(self, distance: Tensor, colour: Tensor, *, alpha: float | Tensor = 1.0, shadow: bool = True) -> None:
        """Paint the inside of a figure.

        Args:
            distance: `[N, H, W]`, negative inside.
            colour: broadcasts to `[N, 3, H, W]`.
            alpha: opacity; a tensor broadcasts to `[N, H, W]`.
            shadow: False for markings, which are part of a layer and neither drop a paper shadow nor glow.
        """
        cover = self.coverage(distance)
        if isinstance(alpha, torch.Tensor) or alpha != 1.0:
            cover = cover * alpha
        if shadow and self.paper is not None:
            self.image_NCHW[self.paper] *= 1.0 - drop_shadow(distance[self.paper])[:, None]
        colour = colour.expand_as(self.image_NCHW)
        if shadow and self.neon is not None:
            colour = self._neon_colour(distance, colour)
        self.image_NCHW.lerp_(colour, cover[:, None])

    def tint(self, colour: Tensor, alpha_NHW: Tensor) -> None:
        """Blend a colour over the picture with a soft opacity."""
        self.image_NCHW.lerp_(colour.expand_as(self.image_NCHW), alpha_NHW[:, None])

    def _neon_colour(self, distance: Tensor, colour: Tensor) -> Tensor:
        """In neon frames: a dark inside with a lit tube along its edge; around it, the glow is added to the picture."""
        assert self.neon is not None, "only neon frames glow"
        own = colour[self.neon]
        lit = vivid(own) * (0.45 + 0.55 * luminance(own).sqrt())
        away = distance[self.neon]
        # The tube runs inside the edge, so that neighbours that touch keep one each.
        halo = (1.0 - (away + _TUBE / 2).abs() / _GLOW_REACH).clamp_(0.0, 1.0) ** 2 * _GLOW_STRENGTH
        glow = lit * halo[:, None]
        dark = self.coverage(distance + _TUBE)[self.neon]
        self.image_NCHW[self.neon] += glow
        colour = colour.clone()
        colour[self.neon] = torch.lerp(lit, own * _NEON_FILL + glow, dark[:, None])
        return colour
