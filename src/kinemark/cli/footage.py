"""Footage that verbs make to measure with: rendered scenes, cheap and endless."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from kinemark.data.video import Frames


def rendered(rng: random.Random, frames: int, size: tuple[int, int]) -> Frames:
    """The next scene of a random generator: so many frames [T, H, W, 3] at 8 a second, of `size` (height, width)."""
    from kinemark.timeline import SPARK_FPS
    from kinemark.worlds.render import clip_times, render
    from kinemark.worlds.spec import batch_scenes, sample_scene

    times = clip_times(1, frames=frames, fps=SPARK_FPS)
    video_TCHW = render(batch_scenes([sample_scene(rng)]), times, size).video_BTCHW[0]
    pixels: Frames = (video_TCHW.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels
