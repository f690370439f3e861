"""The endless stream of training batches: rendered on the spot, and a pure function of (recipe, seed, step).

Because a batch depends on its step number alone, a run that was stopped goes on with exactly the batch that it would
have seen, and nothing is shown twice or left out.

Shape suffixes: B batch, A leads, F slots, N rendered frames, T pixel frames, C channels, H W size, L D text tokens,
S subjects, K values of a state.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange, reduce

from kinemark.model.layout import LAYOUT, layout_map, stilled
from kinemark.model.scene_code import TEXT_LEN, UNSPECIFIED, scene_code, value_codes
from kinemark.timeline import FRAMES_PER_SLOT, SPARK_FPS
from kinemark.training.changes import changed
from kinemark.training.shots import Change, Cut, Shot, draw_change, draw_cut, draw_shot
from kinemark.worlds.captions import STYLES, caption
from kinemark.worlds.render import STATE, render
from kinemark.worlds.spec import SceneBatch, SceneMix, batch_scenes, sample_scene

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from kinemark.training.objective import NoiseMix
    from kinemark.training.recipes import Recipe
    from kinemark.worlds.render import Rendered


@dataclass(frozen=True, slots=True)
class Pool:
    """Scenes, and what a caption of each says; every use of a scene draws a new seed, so no picture comes twice.

    Attributes:
        scenes: the scenes.
        said_BL: the code of what the caption states of each attribute (`scene_code.value_codes`).
        next_scenes: what each scene becomes when its prompt changes.
        next_said_BL: what a caption of that states.
    """

    scenes: SceneBatch
    said_BL: Tensor
    next_scenes: SceneBatch
    next_said_BL: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's worth of clips; leads (`training.shots`) come first in the order of slots.

    Attributes:
        clean_BCFHW: latents, in [-1, 1]; often only the part around a subject.
        time_BF: the slots' true times, in slots.
        text_BLD: text tokens; those of some clips are the empty prompt's.
        mask_BFHW: where the subjects are, in [0, 1].
        map_BCFHW: the map of where the subjects are (`model.layout`); of some clips it does not say so.
        lead_sigma_BA: noise level of the leads.
        past_B: how many slots after them are history at least, since they follow another prompt; None: none has to be.
        noise: how noise is dealt to the other slots.
    """

    clean_BCFHW: Tensor
    time_BF: Tensor
    text_BLD: Tensor
    mask_BFHW: Tensor
    map_BCFHW: Tensor
    lead_sigma_BA: Tensor
    past_B: Tensor | None
    noise: NoiseMix

    @property
    def leads(self) -> int:
        """How many of the first slots lead the clip."""
        return self.lead_sigma_BA.shape[1]


def build_pool(size: int, seed: int, device: torch.device, mix: SceneMix | None = None) -> Pool:
    """Draw `size` scenes and what each becomes, and caption each in one of the styles.

    What the captions state is known, so they need not go through the text encoder: `model.scene_code` is the common
    language of the two.
    """
    rng = random.Random(seed)
    scenes = [sample_scene(rng, mix) for _ in range(size)]
    said = [caption(scene, rng, rng.choice(STYLES)).said for scene in scenes]
    later = [changed(scene, rng).scene for scene in scenes]
    later_said = [caption(scene, rng, rng.choice(STYLES)).said for scene in later]
    return Pool(
        batch_scenes(scenes).to(device),
        value_codes(said).to(device),
        batch_scenes(later).to(device),
        value_codes(later_said).to(device),
    )


def pack_slots(video_BTCHW: Tensor) -> Tensor:
    """Small frames, `T = 4 F`, to latents in [-1, 1]: four frames of a slot lie in its channels (frame, colour)."""
    return rearrange(video_BTCHW, "B (F t) C H W -> B (t C) F H W", t=FRAMES_PER_SLOT) * 2 - 1


def as_layout(state_BSTK: Tensor) -> Tensor:
    """The values of a layout (`model.layout`) out of states (`worlds.render`); shape `[..., K]`, times stay."""
    return state_BSTK[..., [STATE.index(name) for name in LAYOUT]]


def held(x_BT: Tensor, stills: int) -> Tensor:
    """Repeat the first frames four times, so that each fills a slot; time is the second dimension, others stay."""
    return torch.cat([x_BT[:, :stills].repeat_interleave(FRAMES_PER_SLOT, dim=1), x_BT[:, stills:]], dim=1)


def step_generator(seed: int, step: int, device: torch.device, rank: int = 0) -> Generator:
    """The random numbers of one step; `stream.draw_batch` and the noise of the loop come from it in order.

    Processes that train together (`rank`) draw other clips and other noise, but batches of one shape: that comes from
    seed and step alone, so that none waits for another.
    """
    return torch.Generator(device).manual_seed(seed * 1_000_003 + step + rank * 1_000_000_007)


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
    shot = draw_shot(recipe, rng)
    part = scale.size
    if rng.random() < recipe.cropped:
        part = (_half(scale.size[0], recipe.patch), _half(scale.size[1], recipe.patch))
    tokens = (shot.slots + shot.leads) * (part[0] // recipe.patch) * (part[1] // recipe.patch)
    batch = max(1, recipe.tokens_per_step // tokens)

    pick_B = torch.randint(len(pool.scenes), (batch,), generator=generator, device=device)
    seed_B = torch.randint(1 << 48, (batch,), generator=generator, device=device)
    cut = draw_cut(shot, batch, recipe.horizon, generator)
    change = draw_change(shot, cut, generator) if shot.changed else None
    shown = _rendered(pool, pick_B, seed_B, cut, change, scale.size)
    order = list(cut.order)
    video_BTCHW, mask_BTHW = (held(x, shot.held) for x in (shown.video_BTCHW, shown.subject_mask_BTHW))
    layout_BSFK = layout_of(shown.state_BSTK, shot.held)[:, :, order]

    dropped_B = torch.rand(batch, generator=generator, device=device) < recipe.text_dropout
    untold_B = torch.rand(batch, generator=generator, device=device) < recipe.layout_dropout
    told_BSFK = torch.where(untold_B[:, None, None, None], torch.nan, layout_BSFK)
    said_BL = torch.where(dropped_B[:, None], UNSPECIFIED, (pool.next_said_BL if change else pool.said_BL)[pick_B])
    clean_BCFHW, map_BCFHW, mask_BFHW = (
        pack_slots(video_BTCHW)[:, :, order],
        layout_map(told_BSFK, *scale.size),
        reduce(mask_BTHW, "B (F t) H W -> B F H W", "max", t=FRAMES_PER_SLOT)[:, order],
    )
    if part != scale.size:
        middle = shot.leads + (shot.slots - 1) // 2
        corners = _corners(layout_BSFK[:, 0, middle], scale.size, part, generator)
        clean_BCFHW, map_BCFHW, mask_BFHW = (_cropped(x, corners, part) for x in (clean_BCFHW, map_BCFHW, mask_BFHW))
    return Batch(
        clean_BCFHW=clean_BCFHW,
        time_BF=cut.time_BF,
        text_BLD=scene_code().to(device)[torch.arange(TEXT_LEN, device=device), said_BL],
        map_BCFHW=map_BCFHW,
        mask_BFHW=mask_BFHW,
        lead_sigma_BA=_lead_sigma(shot, batch, scale.noise, generator),
        past_B=change.slot_B if change else None,
        noise=scale.noise,
    )


def _rendered(
    pool: Pool, pick_B: Tensor, seed_B: Tensor, cut: Cut, change: Change | None, size: tuple[int, int]
) -> Rendered:
    """The frames of a cut; where the scene changes, the next one fades in."""
    time_BN = cut.frame_BN / SPARK_FPS
    shown = render(SceneBatch(pool.scenes.codes_BA[pick_B], seed_B), time_BN, size)
    if change is None:
        return shown
    later = render(SceneBatch(pool.next_scenes.codes_BA[pick_B], seed_B), time_BN, size)
    share = change.share_BN[:, :, None, None, None]
    return replace(shown, video_BTCHW=torch.lerp(shown.video_BTCHW, later.video_BTCHW, share))


def _lead_sigma(shot: Shot, batch: int, noise: NoiseMix, generator: Generator) -> Tensor:
    """Noise levels `[B, A]` of leads: what was given is clean, the first frame of the clip is history."""
    level_BA = torch.zeros(batch, shot.leads, device=generator.device)
    if shot.has_sink:
        top = min(noise.history_sigma, noise.handover)
        level_BA[:, 0] = top * torch.rand(batch, generator=generator, device=generator.device)
    return level_BA


def layout_of(state_BSTK: Tensor, stills: int) -> Tensor:
    """The layout `[B, S, F, K]` of slots: of the first `stills` a frame each, of the others the last of four frames."""
    ends = torch.cat([state_BSTK[:, :, :stills], state_BSTK[:, :, stills + FRAMES_PER_SLOT - 1 :: FRAMES_PER_SLOT]], 2)
    return stilled(as_layout(ends), torch.arange(ends.shape[2], device=ends.device) < stills)


def _half(side: int, patch: int) -> int:
    """Half a side, in whole patches."""
    return max(1, side // 2 // patch) * patch


def _corners(layout_BK: Tensor, size: tuple[int, int], part: tuple[int, int], generator: Generator) -> Tensor:
    """Top left corners `[B, 2]` of parts that show the subject, somewhere within them."""
    device = layout_BK.device
    place_BX = layout_BK[:, :2].flip(1) * torch.tensor(size, device=device)
    shift_BX = torch.rand(place_BX.shape, generator=generator, device=device) * 0.5 + 0.25
    limit_X = torch.tensor([whole - piece for whole, piece in zip(size, part, strict=True)], device=device)
    corner_BX = (place_BX - shift_BX * torch.tensor(part, device=device)).round()
    return corner_BX.clamp(min=0).minimum(limit_X).long()


def _cropped(x: Tensor, corner_BX: Tensor, part: tuple[int, int]) -> Tensor:
    """A part of each picture `[B, ..., H, W]`, all at once: on a GPU thousands of slices take longer than a step."""
    planes_BPHW = x.flatten(1, -3)
    windows = planes_BPHW.unfold(2, part[0], 1).unfold(3, part[1], 1)
    each_B = torch.arange(len(x), device=x.device)
    return windows[each_B, :, corner_BX[:, 0], corner_BX[:, 1]].view(*x.shape[:-2], *part)


def soften(mask_BFHW: Tensor) -> Tensor:
    """Widen a subject mask by two pixels, so that outlines count as well."""
    return F.max_pool2d(mask_BFHW, kernel_size=5, stride=1, padding=2)
