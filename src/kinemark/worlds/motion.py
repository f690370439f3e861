"""Where every subject is, and where the camera looks, at any time: closed formulas, no integration.

Lengths are in heights of the picture, x counted from its middle to the right, y from its top downwards. In pictures
higher than wide, subjects and their travel shrink with the width, so that they still fit.

Shape suffixes: B batch, S subject, T pixel frames. Everything that is constant in time is `[B, S, 1]`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.spec import AIR, CAMERAS, DIRECTIONS, KINDS, MAX_SUBJECTS, SceneBatch

if TYPE_CHECKING:
    from torch import Tensor

#: The clip that the worlds are laid out for: for so long no subject turns, and within it the light changes.
CLIP_SECONDS: Final = 4.0

HORIZON: Final = 0.5
#: The larger side of a subject, in the order of `spec.SIZES`.
SUBJECT_SIZE: Final = (0.21, 0.29, 0.40)
#: How far it travels in `CLIP_SECONDS`, in the order of `spec.SPEEDS`.
TRAVEL: Final = (0.15, 0.27, 0.42)
#: By what factor it grows or shrinks in `CLIP_SECONDS` when it comes closer or goes away, in the same order.
GROWTH: Final = (1.65, 1.90, 2.20)
#: Width and height of a subject of size 1, in the order of `spec.KINDS`.
EXTENT: Final = {
    "bird": (1.0, 0.8),
    "balloon": (0.74, 1.0),
    "kite": (0.7, 1.0),
    "plane": (1.1, 0.5),
    "butterfly": (1.0, 0.86),
    "car": (1.1, 0.5),
    "ball": (0.86, 0.86),
    "rabbit": (0.86, 1.0),
    "dog": (1.0, 0.8),
    "train": (1.2, 0.56),
    "robot": (0.74, 1.0),
    "sailboat": (0.9, 1.0),
    "duck": (1.0, 0.86),
    "whale": (1.1, 0.6),
}

PAN_SPEED: Final = 0.09
FOLLOW_GAIN: Final = 1.25
ZOOM: Final = 1.16
#: The point of the picture that a zoom keeps in place, as a height.
ZOOM_PIVOT: Final = 0.55

_MARGIN: Final = 0.02
#: Base line of what stands on the ground, below the horizon, at its nominal size; and how it grows with perspective.
_GROUND_DROP: Final = 0.245
_GROUND_POWER: Final = 1.5
_LANE_OFFSET: Final = 0.075
#: Lowest edge of what flies.
_AIR_FLOOR: Final = 0.84
# Streams of `noise.draws`; a second subject adds `_SECOND`.
_START_X, _START_Y, _FACING, _CYCLE, _SECOND = 1, 2, 3, 4, 10
_SWAP: Final = 21


@dataclass(frozen=True, slots=True)
class Tracks:
    """Every subject at every time, `[B, S, T]` each; lengths in heights of the picture."""

    x: Tensor  # centre
    y: Tensor
    size: Tensor  # the larger side
    vx: Tensor  # own velocity, per second, before the camera's
    vy: Tensor
    facing: Tensor  # +1 looks right, -1 left
    clock: Tensor  # seconds, from a start of its own: what its motion cycle runs on
    present: Tensor  # bool


@dataclass(frozen=True, slots=True)
class Camera:
    """How the scenery is seen, `[B, T]` each; subjects' positions already include it."""

    pan: Tensor  # shift of the view to the right
    tilt: Tensor  # shift of the scenery downwards
    zoom: Tensor  # magnification about the middle of `ZOOM_PIVOT`


def _folded(start: Tensor, change: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Move from `start` by `change`, turning at both limits; also the sign (+1, -1) that turns give the velocity."""
    span = (high - low).clamp_min(1e-3)
    phase = torch.remainder(start + change - low, 2.0 * span)
    returning = phase > span
    return low + torch.where(returning, 2.0 * span - phase, phase), 1.0 - 2.0 * returning.to(phase.dtype)


@dataclass(frozen=True, slots=True)
class _Subjects:
    """What is known of the subjects before time runs, `[B, S, 1]` each."""

    kind: Tensor
    flies: Tensor
    width: Tensor
    height: Tensor
    size: Tensor
    speed: Tensor
    direction: Tensor
    present: Tensor
    draws_BR: Tensor
    shared: Tensor  # the scene has two
    zoomed: Tensor  # the most that the camera will magnify
    followed: Tensor

    def random(self, stream: int) -> Tensor:
        """Uniform in [0, 1), `[B, S, 1]`, another for each subject."""
        return torch.stack([self.draws_BR[:, stream + _SECOND * ordinal] for ordinal in range(MAX_SUBJECTS)], 1)[
            ..., None
        ]

    def is_direction(self, *names: str) -> Tensor:
        """Which subjects go in one of the named directions."""
        codes = torch.tensor([DIRECTIONS.index(name) for name in names], device=self.kind.device)
        return torch.isin(self.direction, codes)

    def start_share(self) -> Tensor:
        """Where in the free span a subject starts, 0 to 1; two subjects start apart."""
        free = self.random(_START_X)
        swap = self.draws_BR[:, _SWAP, None, None] < 0.5
        first = torch.arange(MAX_SUBJECTS, device=self.kind.device).view(1, -1, 1) == 0
        apart = torch.where(swap == first, 0.3 * free, 1.0 - 0.3 * free)
        return torch.where(self.shared, apart, free)


def _subjects(batch: SceneBatch, draws_BR: Tensor, reach: float) -> _Subjects:
    device = batch.seed_B.device

    def column(name: str) -> Tensor:
        return torch.stack([batch.column(name), batch.column(f"second_{name}")], 1)[..., None]

    kind = column("subject")
    present = kind >= 0
    safe = kind.clamp_min(0)
    size = torch.tensor(SUBJECT_SIZE, device=device)[column("size").clamp_min(0)] * reach
    extent = torch.tensor([EXTENT[name] for name in KINDS], device=device)
    camera = batch.column("camera").view(-1, 1, 1)
    zooms = (camera == CAMERAS.index("zoom in")) | (camera == CAMERAS.index("zoom out"))
    first = torch.arange(MAX_SUBJECTS, device=device).view(1, -1, 1) == 0
    return _Subjects(
        kind=safe,
        flies=safe < len(AIR),
        width=extent[safe, 0],
        height=extent[safe, 1],
        size=size,
        speed=column("speed").clamp_min(0),
        direction=column("direction").clamp_min(0),
        present=present,
        draws_BR=draws_BR,
        shared=present[:, 1:],
        zoomed=torch.where(zooms, ZOOM, 1.0),
        followed=(camera == CAMERAS.index("follow")) & first,
    )


def _across(s: _Subjects, time: Tensor, aspect: float, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Position and velocity from left to right, and how far the camera has followed."""
    sideways = s.is_direction("left", "right")
    sign = torch.where(s.is_direction("left"), -1.0, 1.0)
    travel = torch.tensor(TRAVEL, device=time.device)[s.speed] * reach
    rate = travel / CLIP_SECONDS
    room = aspect / 2.0 / s.zoomed - 0.5 * s.width * s.size - _MARGIN
    room = torch.maximum(room, 0.5 * travel)
    share = s.start_share()
    start = -room + share * (2.0 * room - travel) + torch.where(sign < 0, travel, 0.0)
    moving, turn = _folded(start, sign * rate * time, -room, room)
    resting = (share - 0.5) * 1.6 * room
    kept = (share - 0.5) * 0.3 * room - sign * 0.12 * reach
    x = torch.where(sideways, torch.where(s.followed, kept, moving), resting).expand_as(s.present * time)
    velocity = torch.where(sideways, sign * rate * torch.where(s.followed, 1.0, turn), 0.0)
    followed = torch.where(sideways & s.followed, FOLLOW_GAIN * sign * rate * time, 0.0)
    return x, velocity, followed


def _rise(s: _Subjects, time: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Height and vertical velocity of what flies, and the tilt with which the camera follows."""
    vertical = s.is_direction("up", "down")
    sign = torch.where(s.is_direction("up"), -1.0, 1.0)
    travel = torch.tensor(TRAVEL, device=time.device)[s.speed] * reach
    half = 0.5 * s.height * s.size
    high = ZOOM_PIVOT - (ZOOM_PIVOT - _MARGIN) / s.zoomed + half
    low = torch.maximum(_AIR_FLOOR - half, high + travel)
    share = s.random(_START_Y)
    start = high + share * (low - high - travel) + torch.where(sign < 0, travel, 0.0)
    y, turn = _folded(start, sign * travel / CLIP_SECONDS * time, high, low)
    middle = 0.5 * (high + low)
    tilt = torch.where(s.followed & vertical, 0.5 * (middle - y), 0.0)
    lane = high + share * (torch.maximum(high, 0.46 - half) - high)
    second = torch.arange(MAX_SUBJECTS, device=time.device).view(1, -1, 1) == 1
    both_fly = s.flies.all(1, keepdim=True) & s.shared
    lane = torch.where(both_fly & second, _AIR_FLOOR - 0.03 - half, torch.where(both_fly, high + 0.02, lane))
    velocity = torch.where(vertical, sign * turn * travel / CLIP_SECONDS, 0.0)
    return torch.where(vertical, y + tilt, lane).expand_as(s.present * time), velocity, tilt


def _recede(s: _Subjects, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Height, vertical velocity and growth of what stands on the ground or floats."""
    depthward = s.is_direction("up", "down")
    sign = torch.where(s.is_direction("up"), -1.0, 1.0)
    span = torch.tensor([math.log(ratio) for ratio in GROWTH], device=time.device)[s.speed]
    log_growth, turn = _folded(-0.5 * sign * span, sign * span / CLIP_SECONDS * time, -0.5 * span, 0.5 * span)
    growth = torch.where(depthward, log_growth.exp(), 1.0)
    second = torch.arange(MAX_SUBJECTS, device=time.device).view(1, -1, 1) == 1
    both_stand = ~s.flies.any(1, keepdim=True) & s.shared
    lane = torch.where(both_stand, torch.where(second, -_LANE_OFFSET, _LANE_OFFSET), 0.06 * (s.random(_START_Y) - 0.5))
    drop = _GROUND_DROP + torch.where(depthward, 0.5 * lane, lane)
    base = drop * growth**_GROUND_POWER
    half = 0.5 * s.height * s.size * growth
    rate = torch.where(depthward, sign * turn * span / CLIP_SECONDS, 0.0)
    return HORIZON + base - half, (_GROUND_POWER * base - half) * rate, growth


def trace(
    batch: SceneBatch, draws_BR: Tensor, time_BT: Tensor, aspect: float, duration: float
) -> tuple[Tracks, Camera]:
    """Place the subjects and the camera of every scene at every time.

    Args:
        batch: the scenes.
        draws_BR: their random numbers (`noise.draws`).
        time_BT: seconds.
        aspect: width of the picture over its height.
        duration: seconds over which a zoom runs from end to end.

    Returns:
        The tracks `[B, S, T]` (S = 2; absent subjects have `present` False) and the camera `[B, T]`.
    """
    reach = min(1.0, aspect)
    s = _subjects(batch, draws_BR, reach)
    time = time_BT[:, None]
    x, vx, scrolled = _across(s, time, aspect, reach)
    air_y, air_vy, tilt = _rise(s, time, reach)
    ground_y, ground_vy, growth = _recede(s, time)
    y = torch.where(s.flies, air_y, ground_y)
    size = torch.where(s.flies, s.size.expand_as(y), s.size * growth)
    tilt = torch.where(s.flies, tilt, 0.0)
    dolly = torch.where(s.followed & ~s.flies, growth**-0.35, 1.0)

    code = batch.column("camera")[:, None]
    turning = (code == CAMERAS.index("pan right")).float() - (code == CAMERAS.index("pan left")).float()
    closing = (code == CAMERAS.index("zoom in")).float() - (code == CAMERAS.index("zoom out")).float()
    zoom = ZOOM ** (closing * (2.0 * (time_BT / duration).clamp(0.0, 1.0) - 1.0))
    camera = Camera(
        pan=PAN_SPEED * turning * time_BT + scrolled[:, 0],
        tilt=tilt[:, 0].expand_as(time_BT),
        zoom=zoom * dolly[:, 0],
    )
    heading = torch.where(s.random(_FACING) < 0.5, -1.0, 1.0)
    tracks = Tracks(
        x=x * zoom[:, None],
        y=ZOOM_PIVOT + (y - ZOOM_PIVOT) * zoom[:, None],
        size=size * zoom[:, None],
        vx=vx.expand_as(y),
        vy=torch.where(s.flies, air_vy, ground_vy).expand_as(y),
        facing=torch.where(vx == 0.0, heading, torch.sign(vx)).expand_as(y),
        clock=time + 8.0 * s.random(_CYCLE),
        present=s.present.expand_as(y),
    )
    return tracks, camera
