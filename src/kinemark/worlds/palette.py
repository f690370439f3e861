"""Colours: of subjects, and of the light at every time of day.

Shape suffixes: N frames, C channels (RGB in [0, 1]); a colour is kept as `[N, C, 1, 1]`, a quantity as `[N, 1, 1]`,
ready to be broadcast over pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, TypeAlias

import torch

if TYPE_CHECKING:
    from torch import Tensor

Rgb: TypeAlias = tuple[float, float, float]

#: In the order of `spec.COLOURS`.
COLOUR_RGB: Final[tuple[Rgb, ...]] = (
    (0.90, 0.10, 0.12),  # red
    (1.00, 0.50, 0.04),  # orange
    (1.00, 0.87, 0.08),  # yellow
    (0.10, 0.66, 0.20),  # green
    (0.08, 0.84, 0.88),  # cyan
    (0.10, 0.28, 0.92),  # blue
    (0.54, 0.14, 0.78),  # purple
    (1.00, 0.46, 0.72),  # pink
    (0.98, 0.98, 0.97),  # white
    (0.06, 0.06, 0.08),  # black
)


@dataclass(frozen=True, slots=True)
class Hour:
    """The light at one time of day; lengths are in heights of the picture."""

    sky_top: Rgb
    sky_middle: Rgb
    sky_low: Rgb
    sunshine: Rgb  # what scenery is multiplied with
    subject: Rgb  # what subjects are multiplied with: milder, so that their colour stays readable
    cloud: Rgb
    sun: Rgb
    sun_height: float  # of its centre above the horizon
    sun_radius: float
    sun_glow: float
    moon_height: float
    stars: float
    lamps: float  # how brightly windows are lit


#: In the order of `spec.TIMES`.
HOURS: Final = (
    Hour(  # dawn
        sky_top=(0.60, 0.74, 0.95),
        sky_middle=(0.98, 0.78, 0.80),
        sky_low=(1.00, 0.89, 0.74),
        sunshine=(0.97, 0.77, 0.74),
        subject=(1.00, 0.98, 0.97),
        cloud=(1.00, 0.85, 0.85),
        sun=(1.00, 0.97, 0.84),
        sun_height=0.10,
        sun_radius=0.075,
        sun_glow=0.55,
        moon_height=-0.30,
        stars=0.0,
        lamps=0.25,
    ),
    Hour(  # noon
        sky_top=(0.13, 0.44, 0.93),
        sky_middle=(0.33, 0.65, 0.98),
        sky_low=(0.74, 0.90, 1.00),
        sunshine=(1.00, 1.00, 0.97),
        subject=(1.00, 1.00, 1.00),
        cloud=(1.00, 1.00, 1.00),
        sun=(1.00, 0.95, 0.55),
        sun_height=0.385,
        sun_radius=0.070,
        sun_glow=0.35,
        moon_height=-0.30,
        stars=0.0,
        lamps=0.0,
    ),
    Hour(  # sunset
        sky_top=(0.38, 0.14, 0.48),
        sky_middle=(0.95, 0.30, 0.32),
        sky_low=(1.00, 0.66, 0.14),
        sunshine=(0.94, 0.58, 0.46),
        subject=(1.00, 0.94, 0.90),
        cloud=(1.00, 0.56, 0.46),
        sun=(1.00, 0.86, 0.34),
        sun_height=0.075,
        sun_radius=0.120,
        sun_glow=0.75,
        moon_height=-0.30,
        stars=0.0,
        lamps=0.35,
    ),
    Hour(  # dusk
        sky_top=(0.12, 0.10, 0.36),
        sky_middle=(0.27, 0.18, 0.52),
        sky_low=(0.86, 0.36, 0.62),
        sunshine=(0.46, 0.38, 0.64),
        subject=(0.90, 0.86, 0.95),
        cloud=(0.50, 0.36, 0.62),
        sun=(1.00, 0.50, 0.40),
        sun_height=-0.25,
        sun_radius=0.120,
        sun_glow=0.0,
        moon_height=-0.30,
        stars=0.45,
        lamps=0.8,
    ),
    Hour(  # night
        sky_top=(0.01, 0.02, 0.09),
        sky_middle=(0.02, 0.05, 0.17),
        sky_low=(0.06, 0.12, 0.28),
        sunshine=(0.23, 0.27, 0.45),
        subject=(0.80, 0.81, 0.90),
        cloud=(0.19, 0.23, 0.36),
        sun=(1.00, 0.50, 0.40),
        sun_height=-0.40,
        sun_radius=0.120,
        sun_glow=0.0,
        moon_height=0.345,
        stars=1.0,
        lamps=1.0,
    ),
)


@dataclass(frozen=True, slots=True)
class Light:
    """The light in each of N frames: colours `[N, 3, 1, 1]`, quantities `[N, 1, 1]`. Fields as in `Hour`."""

    sky_top: Tensor
    sky_middle: Tensor
    sky_low: Tensor
    sunshine: Tensor
    subject: Tensor
    cloud: Tensor
    sun: Tensor
    sun_height: Tensor
    sun_radius: Tensor
    sun_glow: Tensor
    moon_height: Tensor
    stars: Tensor
    lamps: Tensor

    def select(self, index: Tensor) -> Light:
        """The light in some of the frames."""
        return Light(*(getattr(self, field.name)[index] for field in fields(self)))


def light_between(start_N: Tensor, end_N: Tensor, progress_N: Tensor) -> Light:
    """Mix the light of two times of day (codes of `spec.TIMES`); `progress_N` runs from 0 (start) to 1 (end)."""
    mix = (progress_N * progress_N * (3.0 - 2.0 * progress_N))[:, None]
    values = {}
    for field in fields(Hour):
        rows = [getattr(hour, field.name) for hour in HOURS]
        table = torch.tensor(rows, device=start_N.device).reshape(len(HOURS), -1)
        value = torch.lerp(table[start_N], table[end_N], mix)
        values[field.name] = value[..., None, None] if value.shape[1] == 3 else value[..., None]
    return Light(**values)


def vivid(colour: Tensor) -> Tensor:
    """A colour at full brightness and strong saturation, as a neon tube shows it. RGB is dimension 1."""
    colour = colour / colour.amax(1, keepdim=True).clamp_min(1e-3)
    pale = colour.amin(1, keepdim=True) * 0.75
    return (colour - pale) / (1.0 - pale)


def luminance(colour: Tensor) -> Tensor:
    """Brightness of a colour (BT.709 weights), RGB in dimension 1, kept as size 1."""
    weights = colour.new_tensor([0.2126, 0.7152, 0.0722]).view(1, 3, *([1] * (colour.ndim - 2)))
    return (colour * weights).sum(1, keepdim=True)
