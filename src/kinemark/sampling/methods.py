"""How published models are sampled: each method is a value, and a model is weights with one of them.

Numbers of slots are latent frames. A published window ("local attention") counts what is denoised and the sinks as
well; `CachePolicy.window` counts what is remembered beside the sinks, so it is smaller by both. Where a source says
nothing of a change of prompt, what is remembered is read again.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kinemark.model.cache import CachePolicy, Fixed, Plain, absolute, sinks_before_window, window_relative
from kinemark.sampling.memory import Flush, pin
from kinemark.sampling.schedule import Listed, Shifted, WanLevels, listed
from kinemark.sampling.solvers import renoise, unipc
from kinemark.sampling.streaming import SamplerConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kinemark.model.cache import Placement
    from kinemark.sampling.schedule import Schedule


def bidirectional(shift: float, steps: int = 50) -> SamplerConfig:
    """Wan as it was published: all slots at once, with UniPC (Wan2.1 and 2.2 `wan/configs/*.py`)."""
    return SamplerConfig(first_steps=steps, steps=steps, schedule=WanLevels(shift), block_slots=None, solver=unipc)


def few_steps(schedule: Schedule, steps: int) -> SamplerConfig:
    """A distilled model that makes all slots at once in a few steps, with new noise in each."""
    return SamplerConfig(first_steps=steps, steps=steps, schedule=schedule, block_slots=None, solver=renoise)


def causal(
    block: int,
    attends: int,
    sinks: int = 0,
    *,
    place: Placement = absolute,
    schedule: Schedule | None = None,
    steps: int = 4,
) -> SamplerConfig:
    """A causal model of the Self-Forcing family.

    Each block is denoised in a few steps with new noise in each, and then remembered clean.

    Args:
        block: slots that are denoised together.
        attends: slots that a block attends to, itself and the sinks included.
        sinks: first slots, which are never forgotten.
        place: where in time the remembered slots are read.
        schedule: levels; default: evenly spaced, shifted by 5, as in Self-Forcing.
        steps: of each block.
    """
    return SamplerConfig(
        first_steps=steps,
        steps=steps,
        schedule=schedule or Shifted(5.0),
        block_slots=block,
        history_sigma=0.0,
        solver=renoise,
        cache=CachePolicy(attends - sinks - block, sinks, place, Fixed if place is absolute else Plain),
    )


def _trig_flow(*angles: float) -> Listed:
    """Levels of rCM, whose angle t mixes cos(t) clean + sin(t) noise: as a flow, sin / (sin + cos)."""
    return Listed((tuple(math.sin(t) / (math.sin(t) + math.cos(t)) for t in angles),))


METHODS: Final[Mapping[str, SamplerConfig]] = {
    # Wan2.1 and 2.2, `wan/configs/*.py`: the shift goes with the size and the model.
    "wan-480p": bidirectional(3.0),
    "wan-720p": bidirectional(5.0),
    "wan2.2-14b": bidirectional(12.0, steps=40),
    "wan2.2-14b-image": bidirectional(5.0, steps=40),
    # FastWan: DMD2 distillation to three steps (FastVideo).
    "fastwan": few_steps(listed((1000, 757, 522)), 3),
    # rCM and TurboDiffusion: sigma_max 80, then the angles 1.5, 1.4 and 1.0.
    "rcm": few_steps(_trig_flow(math.atan(80.0), 1.5, 1.4, 1.0), 4),
    # arXiv 2506.08009, `configs/self_forcing_dmd.yaml`.
    "self-forcing": causal(3, attends=21),
    # Causal-Forcing, chunk-wise as Self-Forcing, frame-wise, and in two steps after a first slot of four.
    "causal-forcing": causal(3, attends=21),
    "causal-forcing-framewise": causal(1, attends=21),
    "causal-forcing-2-step": replace(
        causal(1, attends=21, schedule=listed((1000, 750, 500, 250), (1000, 500), shift=5.0), steps=2), first_steps=4
    ),
    # CausVid, `configs/wan_causal_dmd.yaml`.
    "causvid": causal(3, attends=21, schedule=listed((1000, 757, 522)), steps=3),
    # StreamDiffusionV2, text to video.
    "streamdiffusion-v2": causal(3, attends=21, schedule=Shifted(1.0)),
    # LongLive 1.0 (arXiv 2509.22622), and its variant that numbers what it remembers.
    "longlive": causal(3, attends=12, sinks=3),
    "longlive-infinity": causal(3, attends=12, sinks=3, place=window_relative),
    # LongLive 2.0: solver steps in place of new noise; each shot has sinks of its own.
    "longlive-2": replace(
        causal(8, attends=32, sinks=8, place=window_relative, schedule=WanLevels(5.0)), solver=unipc, on_prompt=pin
    ),
    # Infinity-RoPE (arXiv 2511.20649), on weights of Self-Forcing.
    "infinity-rope": replace(causal(3, attends=6, sinks=1, place=window_relative), on_prompt=Flush(first=1, last=2)),
    # Rolling Forcing (arXiv 2509.25161): five blocks under way; the first block of all is read right before the three
    # slots that are left of a window of 21 (9 for a single block of the five).
    "rolling-forcing": replace(
        causal(
            3,
            attends=9,
            sinks=3,
            place=sinks_before_window,
            schedule=listed((1000, 800, 600, 400, 200), shift=5.0),
            steps=5,
        ),
        joint_blocks=5,
    ),
    # Krea Realtime 14B: the last three slots are read again before every block. (Its server also takes the oldest of
    # them through pixels, as the first frame of a clip; that is not done here.)
    "krea-realtime": replace(causal(3, attends=6, place=window_relative), rebuild=3),
}
"""By the name of the method or of the model that it was published with."""
