"""What a run shows of itself: a contact sheet of fixed prompts, and a plot of the loss by noise level."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch

from kinemark.model.autoencoder import SCALE, encode, unpack
from kinemark.model.layout import stilled
from kinemark.model.scene_code import scene_tokens
from kinemark.sampling.coarse import coarsened, refining
from kinemark.sampling.conditions import Conditions
from kinemark.sampling.guidance import ALONG, GUIDANCE, guided
from kinemark.sampling.streaming import SamplerConfig, sample_streaming
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.loop import LOG_FILE, SIGMA_EDGES
from kinemark.training.sheet import contact_sheet, plot_log, write_png
from kinemark.training.stream import as_layout
from kinemark.worlds.render import render, states
from kinemark.worlds.spec import Scene, Subject, batch_scenes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from kinemark.training.state import Trainee

#: What every sheet shows, in this order: each setting, time and weather at least once, one scene with two subjects.
SHEET_SCENES: Final = (
    Scene("sea", "sunset", "clear", (Subject("sailboat", "red", "large"),)),
    Scene("meadow", "noon", "clear", (Subject("rabbit", "white", "large", direction="left"),)),
    Scene("snow", "dawn", "snowfall", (Subject("bird", "blue", "large"),)),
    Scene("city", "night", "clear", (Subject("car", "yellow", "large", direction="left"),)),
    Scene("desert", "noon", "cloudy", (Subject("balloon", "green", "large", direction="up"),)),
    Scene("forest", "dusk", "fog", (Subject("dog", "orange", "large"),)),
    Scene("mountains", "dawn", "clear", (Subject("train", "purple", "large"),)),
    Scene("lake", "noon", "rain", (Subject("duck", "yellow", "large", direction="left"),)),
    Scene("beach", "sunset", "clear", (Subject("ball", "cyan", "large"),)),
    Scene("sea", "night", "clear", (Subject("whale", "pink", "large", direction="left"),)),
    Scene("meadow", "dusk", "rain", (Subject("robot", "red", "large"),)),
    Scene("desert", "noon", "clear", (Subject("plane", "red"), Subject("car", "blue", direction="left"))),
)


Conditioned = Callable[[Conditions, SamplerConfig], tuple[Conditions, SamplerConfig]]
"""What an expert is asked, and how it is sampled: the bare request, or the request with something given."""


def from_noise(conditions: Conditions, sampler: SamplerConfig) -> tuple[Conditions, SamplerConfig]:
    """A scene expert's request: small latents, from nothing."""
    return coarsened(conditions, sampler.coarse), sampler.scene_pass()


def from_small_truth(conditions: Conditions, sampler: SamplerConfig) -> tuple[Conditions, SamplerConfig]:
    """A detail expert's request: what a perfect scene expert would hand over, the truth rendered small."""
    slots, side = conditions.shape[2], conditions.shape[-1] // sampler.coarse.factor
    frame_T = torch.arange(4 * slots - 3) / SPARK_FPS
    scenes = batch_scenes(SHEET_SCENES)
    small_BTCHW = render(scenes, frame_T.expand(len(SHEET_SCENES), -1), (side * SCALE, side * SCALE)).video_BTCHW
    small = [(tuple(range(slots)), encode(small_BTCHW))]
    return refining(conditions, small, sampler.coarse), sampler.detail_pass()


def true_layout(scenes: Sequence[Scene], slots: int) -> Tensor:
    """The layout `[B, S, F, K]` of scenes in square pictures, from their beginning on."""
    end_BF = (torch.arange(slots) * (FRAMES_PER_SLOT / SPARK_FPS)).expand(len(scenes), -1)
    return stilled(as_layout(states(batch_scenes(scenes), end_BF, aspect=1.0)), torch.arange(slots) == 0)


@dataclass(frozen=True, slots=True)
class SheetObserver:
    """Draws `sheet_MINUTES.png` and `loss.svg` into the folder of the run.

    Attributes:
        request: what the expert is shown.
        slots: length of the clips; `side`: their latent height and width.
        sampler: how the clips are sampled.
        guidance: scale of classifier-free guidance.
    """

    request: Conditioned
    slots: int = 5
    side: int = 64
    sampler: SamplerConfig = SamplerConfig()  # noqa: RUF009  a frozen value
    guidance: float = GUIDANCE

    def __call__(self, trainee: Trainee, out: Path) -> None:
        """Sample the fixed prompts with the averaged weights, each from the same noise every time."""
        network = copy.deepcopy(trainee.transformer)
        network.load_state_dict(trainee.ema.values)
        network.cpu().eval()
        text_BLD = scene_tokens([scene.values() for scene in SHEET_SCENES])
        shape = (network.config.out_channels, self.slots, self.side, self.side)
        bare = Conditions.from_text(text_BLD, range(len(SHEET_SCENES)), shape)
        told = replace(bare, layout_BSFK=true_layout(SHEET_SCENES, self.slots))
        conditions, sampler = self.request(told, self.sampler.fitted(network.config))
        denoiser = guided(network, scene_tokens([{}])[0], self.guidance, along=ALONG)
        video_BTCHW = unpack(sample_streaming(denoiser, conditions, sampler))
        minutes = round(trainee.progress.seconds / 60)
        sheet = contact_sheet(video_BTCHW, frames=range(0, 4 * self.slots - 3, 4), columns=2)
        write_png(out / f"sheet_{minutes:05d}.png", sheet)
        if (out / LOG_FILE).exists():
            names = {
                f"loss_sigma_{low:.1f}_{high:.1f}": f"sigma {low:.1f}-{high:.1f}" for low, high in pairwise(SIGMA_EDGES)
            }
            plot_log(out / LOG_FILE, out / "loss.svg", names=names, x="minutes")
