"""The endless stream of training batches: rendered on the spot, and a pure function of (recipe, seed, step).

Because a batch depends on its step number alone, a run that was stopped goes on with exactly the batch that it would
have seen, and nothing is shown twice or left out.

Shape suffixes: B batch, A anchors, F slots, T pixel frames, C channels, H W size, L D text tokens, S subjects,
K values of a state.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange, reduce, repeat

from kinemark.model.scene_code import TEXT_LEN, UNSPECIFIED, scene_code, value_codes
from kinemark.worlds.captions import STYLES, caption
from kinemark.worlds.render import render
from kinemark.worlds.spec import SceneBatch, SceneMix, batch_scenes, sample_scene

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from kinemark.training.objective import NoiseMix
    from kinemark.training.recipes import Recipe

FPS = 8
FRAMES_PER_SLOT = 4
#: Slots of a four-second clip; windows lie inside it.
CLIP_SLOTS = 9


@dataclass(frozen=True, slots=True)
class Pool:
    """Scenes, and what a caption of each says; every use of a scene draws a new seed, so no picture comes twice.

    Attributes:
        scenes: the scenes.
        said_BL: the code of what the caption states of each attribute (`scene_code.value_codes`).
    """

    scenes: SceneBatch
    said_BL: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's worth of clips; anchors (clean image slots) come first in the order of slots.

    Attributes:
        clean_BCFHW: latents, in [-1, 1].
        time_BF: the slots' true times, in slots.
        text_BLD: text tokens; those of some clips are the empty prompt's.
        mask_BFHW: where the subjects are, in [0, 1].
        state_BSFK: positions and velocities at the end of each slot (`worlds.render`), NaN where absent.
        anchors: how many of the first slots are anchors.
        noise: how noise is dealt to the other slots.
    """

    clean_BCFHW: Tensor
    time_BF: Tensor
    text_BLD: Tensor
    mask_BFHW: Tensor
    state_BSFK: Tensor
    anchors: int
    noise: NoiseMix


def build_pool(size: int, seed: int, device: torch.device, mix: SceneMix | None = None) -> Pool:
    """Draw `size` scenes and caption each in one of the styles.

    What the captions state is known, so they need not go through the text encoder: `model.scene_code` is the common
    language of the two.
    """
    rng = random.Random(seed)
    scenes = [sample_scene(rng, mix) for _ in range(size)]
    said = [caption(scene, rng, rng.choice(STYLES)).said for scene in scenes]
    return Pool(batch_scenes(scenes).to(device), value_codes(said).to(device))


def pack_slots(video_BTCHW: Tensor) -> Tensor:
    """Small frames, `T = 4 F`, to latents in [-1, 1]: four frames of a slot lie in its channels (frame, colour)."""
    return rearrange(video_BTCHW, "B (F t) C H W -> B (t C) F H W", t=FRAMES_PER_SLOT) * 2 - 1


def window_frames(slots: int, anchor_frames_BA: Tensor, start_B: Tensor) -> Tensor:
    """Frame numbers `[B, 4 (A + F)]`: each anchor and the first frame four times, then those of the other slots."""
    anchors = repeat(anchor_frames_BA, "B A -> B (A t)", t=FRAMES_PER_SLOT)
    later = torch.arange(1, FRAMES_PER_SLOT * (slots - 1) + 1, device=start_B.device)
    offsets = torch.cat([torch.zeros(FRAMES_PER_SLOT, dtype=later.dtype, device=start_B.device), later])
    return torch.cat([anchors, start_B[:, None] + offsets], dim=1)


def step_generator(seed: int, step: int, device: torch.device) -> Generator:
    """The random numbers of one step; `stream.draw_batch` and the noise of the loop come from it in order."""
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step)


def draw_batch(recipe: Recipe, pool: Pool, seed: int, step: int, generator: Generator) -> Batch:
    """Draw and render the batch of a step.

    Args:
        recipe: says sizes, window lengths and shares.
        pool: scenes to draw from.
        seed: of the run.
        step: number of the step.
        generator: from `step_generator`, on the device that renders.
    """
    rng = random.Random(f"{seed}/{step}")
    device = generator.device
    scale = rng.choices(recipe.scales, [scale.share for scale in recipe.scales])[0]
    height, width = scale.size
    low, high = rng.choices(recipe.windows, recipe.window_shares)[0]
    slots = rng.randint(low, high)
    anchors = rng.choice((1, 2)) if slots > 1 and rng.random() < recipe.anchored else 0
    patch = recipe.patch
    batch = max(1, recipe.tokens_per_step // ((slots + anchors) * (height // patch) * (width // patch)))

    pick_B = torch.randint(len(pool.scenes), (batch,), generator=generator, device=device)
    scenes = SceneBatch(
        pool.scenes.codes_BA[pick_B], torch.randint(1 << 48, (batch,), generator=generator, device=device)
    )
    frames = FRAMES_PER_SLOT * (slots - 1)
    latest = FRAMES_PER_SLOT * (CLIP_SLOTS - 1) - frames
    start_B = torch.randint(latest + 1, (batch,), generator=generator, device=device)
    offset_BA = torch.randint(frames + 1, (batch, anchors), generator=generator, device=device)
    frame_BT = window_frames(slots, start_B[:, None] + offset_BA, start_B)
    rendered = render(scenes, frame_BT / FPS, (height, width))

    dropped_B = torch.rand(batch, generator=generator, device=device) < recipe.text_dropout
    said_BL = torch.where(dropped_B[:, None], UNSPECIFIED, pool.said_BL[pick_B])
    slot_F = torch.arange(slots, device=device, dtype=torch.float32).expand(batch, -1)
    return Batch(
        clean_BCFHW=pack_slots(rendered.video_BTCHW),
        time_BF=torch.cat([offset_BA / FRAMES_PER_SLOT, slot_F], dim=1),
        text_BLD=scene_code().to(device)[torch.arange(TEXT_LEN, device=device), said_BL],
        mask_BFHW=reduce(rendered.subject_mask_BTHW, "B (F t) H W -> B F H W", "max", t=FRAMES_PER_SLOT),
        state_BSFK=rendered.state_BSTK[:, :, FRAMES_PER_SLOT - 1 :: FRAMES_PER_SLOT],
        anchors=anchors,
        noise=scale.noise,
    )


def soften(mask_BFHW: Tensor) -> Tensor:
    """Widen a subject mask by two pixels, so that outlines count as well."""
    return F.max_pool2d(mask_BFHW, kernel_size=5, stride=1, padding=2)
