"""Render scenes: a pure function of (scene, seed, time), in batched torch, on any device, at any size.

    from kinemark.worlds.render import render
    rendered = render(batch_scenes([scene]), clip_times(1, frames=33, fps=8), size=(256, 256))
    rendered.video_BTCHW

An item gives the same picture alone or within a batch: nothing is drawn from a generator, everything that a scene does
not name is hashed from its seed (`noise`). Edges are anti-aliased analytically at the size asked for, so a small
picture is the area average of a large one. Widths other than the height show more or less of the sides; nothing is
stretched.

Frames are painted in groups that share a setting, a kind of subject or a weather, never one by one.

Shape suffixes: B batch, T pixel frames, N = B * T frames, S subject, K state, C channels, H W size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch
from einops import rearrange, repeat

from kinemark.worlds.motion import CLIP_SECONDS, EXTENT, HORIZON, ZOOM_PIVOT, Camera, Tracks, trace
from kinemark.worlds.noise import draws
from kinemark.worlds.palette import Light, light_between, vivid
from kinemark.worlds.scenery import SETTINGS_PAINTED, SUN_LIFT
from kinemark.worlds.sky import DAYLIGHT, paint_sky
from kinemark.worlds.spec import KINDS, LOOKS, MAX_SUBJECTS, SETTINGS, WEATHERS, SceneBatch
from kinemark.worlds.stage import Stage, View
from kinemark.worlds.subjects import Placed, paint_subjects
from kinemark.worlds.weather import fog, paper_grain, rain, snowfall

if TYPE_CHECKING:
    from torch import Tensor

#: The order of the last dimension of `Rendered.state_BSTK`.
STATE: Final = ("x", "y", "height", "vx", "vy", "size", "facing")

#: Pixels painted at once: few enough to stay in a processor's cache, many enough to keep a GPU busy.
_CHUNK_PIXELS_CPU: Final = 1 << 20
_CHUNK_PIXELS_GPU: Final = 1 << 24
_FOG_BEHIND: Final = 0.74
_FOG_IN_FRONT: Final = 0.22
_NEON_SKY: Final = 0.36
_HORIZON_STREAM: Final = 90
#: Random numbers that a scene has; the modules that paint say which they use.
_STREAMS: Final = 400


@dataclass(frozen=True, slots=True)
class Rendered:
    """What `render` gives.

    `video_BTCHW`: RGB in [0, 1]. `subject_mask_BTHW`: how much of a pixel is subject, in [0, 1]. `state_BSTK`: for each
    of two subjects (x, y, height, vx, vy, size, facing): its middle, in widths and heights from the top left of the
    picture; its height, in heights; its own velocity, before the camera moves, in widths and heights a second, which
    says which way it goes at that time (after a turn, the other way); its larger side, in heights; and +1 where it
    looks right, -1 where it looks left. NaN where there is no subject.
    """

    video_BTCHW: Tensor
    subject_mask_BTHW: Tensor
    state_BSTK: Tensor


def clip_times(count: int, *, frames: int, fps: float, start: float = 0.0) -> Tensor:
    """`[B, T]`: the times of the frames of `count` equal clips, in seconds."""
    return repeat(start + torch.arange(frames, dtype=torch.float32) / fps, "t -> b t", b=count)


def render(batch: SceneBatch, time_BT: Tensor, size: tuple[int, int], *, duration: float = CLIP_SECONDS) -> Rendered:
    """Render scenes at given times.

    Args:
        batch: B scenes, on the device to render on.
        time_BT: seconds, float32; the frames of an item need not be in order.
        size: height and width in pixels.
        duration: over how many seconds the light changes from `time` to `time_end` and a zoom runs. Subjects do not
            turn within `CLIP_SECONDS`; later they turn at the margins, or the camera follows them.

    Returns:
        Pictures, subject masks and states, float32, on the batch's device.
    """
    height, width = size
    batch_size, times = time_BT.shape
    device = batch.seed_B.device
    count = batch_size * times
    video_NCHW = torch.empty(count, 3, height, width, device=device)
    mask_NHW = torch.zeros(count, height, width, device=device)
    state_BSTK = torch.empty(batch_size, MAX_SUBJECTS, times, len(STATE), device=device)
    # A fifth faster on a CPU than no_grad; what it fills was made outside, so that callers may train on it.
    with torch.inference_mode():
        _render(batch, time_BT.to(device, torch.float32), duration, video_NCHW, mask_NHW, state_BSTK)
    return Rendered(
        rearrange(video_NCHW, "(b t) c h w -> b t c h w", b=batch_size),
        rearrange(mask_NHW, "(b t) h w -> b t h w", b=batch_size),
        state_BSTK,
    )


def states(batch: SceneBatch, time_BT: Tensor, aspect: float, *, duration: float = CLIP_SECONDS) -> Tensor:
    """`Rendered.state_BSTK` alone, for pictures `aspect` times as wide as high: nothing is painted."""
    tracks, _ = trace(batch, draws(batch.seed_B, _STREAMS), time_BT, aspect, duration)
    return _state(batch, tracks, aspect)


def _render(
    batch: SceneBatch, time_BT: Tensor, duration: float, video_NCHW: Tensor, mask_NHW: Tensor, state_BSTK: Tensor
) -> None:
    """Fill the three tensors."""
    count, _, height, width = video_NCHW.shape
    aspect = width / height
    draws_BR = draws(batch.seed_B, _STREAMS)
    tracks, camera = trace(batch, draws_BR, time_BT, aspect, duration)
    state_BSTK.copy_(_state(batch, tracks, aspect))
    frames = _Frames.lay_out(batch, draws_BR, time_BT, tracks, camera, duration)
    limit = _CHUNK_PIXELS_CPU if time_BT.device.type == "cpu" else _CHUNK_PIXELS_GPU
    chunk = max(1, limit // (height * width))
    for first in range(0, count, chunk):
        part = slice(first, min(count, first + chunk))
        _paint(video_NCHW[part], mask_NHW[part], frames.select(part), aspect)


@dataclass(frozen=True, slots=True)
class _Frames:
    """All frames of a batch in one row: `[N]` each, `[N, S]` what belongs to subjects."""

    draws: Tensor
    time: Tensor
    setting: Tensor
    weather: Tensor
    look: Tensor
    start: Tensor
    end: Tensor
    progress: Tensor
    pan: Tensor
    tilt: Tensor
    zoom: Tensor
    kind: Tensor
    colour: Tensor
    x: Tensor
    y: Tensor
    size: Tensor
    facing: Tensor
    clock: Tensor

    @classmethod
    def lay_out(
        cls, batch: SceneBatch, draws_BR: Tensor, time_BT: Tensor, tracks: Tracks, camera: Camera, duration: float
    ) -> _Frames:
        """Repeat what is constant for each frame, and put (item, time) into one dimension."""
        count = time_BT.shape[1]

        def constant(value_B: Tensor) -> Tensor:
            return value_B.repeat_interleave(count, 0)

        def flat(value_BT: Tensor) -> Tensor:
            return rearrange(value_BT, "b t -> (b t)")

        def subject(value_BST: Tensor) -> Tensor:
            return rearrange(value_BST, "b s t -> (b t) s")

        def pair(name: str) -> Tensor:
            codes_BS = torch.stack([batch.column(name), batch.column(f"second_{name}")], 1)
            return repeat(codes_BS, "b s -> (b t) s", t=count)

        return cls(
            draws=constant(draws_BR),
            time=flat(time_BT),
            setting=constant(batch.column("setting")),
            weather=constant(batch.column("weather")),
            look=constant(batch.column("look")),
            start=constant(batch.column("time")),
            end=constant(batch.column("time_end")),
            progress=flat((time_BT / duration).clamp(0.0, 1.0)),
            pan=flat(camera.pan),
            tilt=flat(camera.tilt),
            zoom=flat(camera.zoom),
            kind=pair("subject"),
            colour=pair("colour"),
            x=subject(tracks.x),
            y=subject(tracks.y),
            size=subject(tracks.size),
            facing=subject(tracks.facing),
            clock=subject(tracks.clock),
        )

    def select(self, part: slice) -> _Frames:
        """Some of the frames."""
        return _Frames(*(getattr(self, name)[part] for name in self.__dataclass_fields__))

    def placed(self, light: Light) -> Placed:
        """The subjects of all frames, in one row."""
        frame, ordinal = (self.kind >= 0).nonzero(as_tuple=True)
        return Placed(
            frame=frame,
            ordinal=ordinal,
            kind=self.kind[frame, ordinal],
            colour=self.colour[frame, ordinal],
            x=self.x[frame, ordinal],
            y=self.y[frame, ordinal],
            size=self.size[frame, ordinal],
            facing=self.facing[frame, ordinal],
            clock=self.clock[frame, ordinal],
            light_MC=light.subject[frame, :, 0, 0],
            paper=(self.look == LOOKS.index("paper"))[frame],
            neon=(self.look == LOOKS.index("neon"))[frame],
        )


def _view(frames: _Frames, size: tuple[int, int], aspect: float) -> View:
    height, width = size
    device = frames.time.device
    zoom = frames.zoom[:, None, None]
    x = ((torch.arange(width, device=device) + 0.5) / height - 0.5 * aspect) / zoom
    y = (torch.arange(height, device=device)[:, None] + 0.5) / height - frames.tilt[:, None, None]
    light = light_between(frames.start, frames.end, frames.progress)
    lift = torch.tensor(SUN_LIFT, device=device)[frames.setting][:, None, None]
    neon = frames.look == LOOKS.index("neon")
    lifted = light.sun_height + lift * (1.0 - (light.sun_height / 0.385).clamp(0.0, 1.0))
    daylight = torch.tensor(DAYLIGHT, device=device)[frames.weather][:, None, None, None]
    light = replace(
        light,
        sun_height=torch.where(light.sun_height > 0.0, lifted, light.sun_height),
        sunshine=light.sunshine * daylight,
    )
    return View(
        draws_NR=frames.draws,
        time_N11=frames.time[:, None, None],
        x_N1W=x,
        y_NH1=ZOOM_PIVOT + (y - ZOOM_PIVOT) / zoom,
        pan_N11=frames.pan[:, None, None],
        pixel_N11=1.0 / height / zoom,
        horizon_N11=HORIZON + 0.03 * (frames.draws[:, _HORIZON_STREAM, None, None] - 0.5),
        weather_N=frames.weather,
        paper_N=frames.look == LOOKS.index("paper"),
        neon_N=neon,
        light=light,
        aspect=aspect,
    )


def _neon_sky(light: Light, neon_N: Tensor) -> Light:
    """The sky of neon frames: dark, its hue kept."""
    neon = neon_N[:, None, None, None]

    def dimmed(colour: Tensor) -> Tensor:
        deep = vivid(colour) * colour.amax(1, keepdim=True) * _NEON_SKY
        return torch.where(neon, deep, colour)

    return replace(
        light, sky_top=dimmed(light.sky_top), sky_middle=dimmed(light.sky_middle), sky_low=dimmed(light.sky_low)
    )


def _members(codes: list[int], value: int, device: torch.device) -> Tensor | None:
    found = [position for position, code in enumerate(codes) if code == value]
    return torch.tensor(found, device=device) if found else None


def _paint(image_NCHW: Tensor, mask_NHW: Tensor, frames: _Frames, aspect: float) -> None:
    """Paint a chunk of frames, from the back to the front."""
    device = image_NCHW.device
    view = _view(frames, (image_NCHW.shape[2], image_NCHW.shape[3]), aspect)
    settings, weathers, looks = frames.setting.tolist(), frames.weather.tolist(), frames.look.tolist()
    paint_sky(Stage(image_NCHW, replace(view, light=_neon_sky(view.light, view.neon_N))))
    whole = Stage(image_NCHW, view)
    for code in range(len(SETTINGS)):
        index = _members(settings, code, device)
        if index is not None:
            part = whole.subset(index)
            SETTINGS_PAINTED[code](part)
            whole.put(index, part)
    foggy = _members(weathers, WEATHERS.index("fog"), device)
    if foggy is not None:
        part = whole.subset(foggy)
        fog(part, _FOG_BEHIND)
        whole.put(foggy, part)
    paint_subjects(image_NCHW, mask_NHW, frames.placed(view.light))
    _foreground(whole, weathers, looks)
    image_NCHW.clamp_(0.0, 1.0)


def _foreground(whole: Stage, weathers: list[int], looks: list[int]) -> None:
    device = whole.image_NCHW.device
    for name in ("rain", "snowfall", "fog"):
        index = _members(weathers, WEATHERS.index(name), device)
        if index is None:
            continue
        part = whole.subset(index)
        if name == "rain":
            rain(part)
        elif name == "snowfall":
            snowfall(part)
        else:
            fog(part, _FOG_IN_FRONT)
        whole.put(index, part)
    paper = _members(looks, LOOKS.index("paper"), device)
    if paper is not None:
        part = whole.subset(paper)
        paper_grain(part)
        whole.put(paper, part)


def _state(batch: SceneBatch, tracks: Tracks, aspect: float) -> Tensor:
    """Collect `Rendered.state_BSTK` from the tracks."""
    kind_BS = torch.stack([batch.column("subject"), batch.column("second_subject")], 1).clamp_min(0)
    tall = torch.tensor([EXTENT[name][1] for name in KINDS], device=kind_BS.device)[kind_BS][..., None]
    middle = (tracks.x / aspect + 0.5, tracks.y)
    velocity = (tracks.vx / aspect, tracks.vy)
    state = torch.stack([*middle, tracks.size * tall, *velocity, tracks.size, tracks.facing], dim=-1)
    return torch.where(tracks.present[..., None], state, torch.nan)
