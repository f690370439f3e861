"""How the probe is trained: rendered scenes without end, roughened as a model's clips are, for as long as one allows.

    python -m kinemark.training.probe_training --minutes 40

Rendering takes its time too, so every clip is used a few times, each time roughened differently: blur, noise, small
changes of colour, and the seams that a patch-wise model leaves. Held-out compositions are shown too: the probe has to
read them.

Shape suffixes: B batch, K the five frames, C channels, H W size, N cells, S subjects, X (x, y), A attribute, P pairing.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
import torch.nn.functional as F  # noqa: N812  the name everybody uses
from einops import rearrange, repeat
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kinemark.model.precision import fast_autocast
from kinemark.shares import Share
from kinemark.training.optim import learning_rate_factor, make_optimisers, set_learning_rates
from kinemark.training.probe import (
    GLOBAL,
    LOOKS_AT,
    MIRROR,
    PER_SUBJECT,
    SIDE,
    Found,
    Probe,
    cell_centres,
    in_order,
    load_probe,
    save_probe,
)
from kinemark.worlds.render import render
from kinemark.worlds.spec import ABSENT, ATTRIBUTES, COLUMN, PLAIN_MIX, Scene, SceneMix, batch_scenes, sample_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

#: Everything that scenes can be, rare choices made common.
WIDE_MIX: Final = SceneMix(one_subject=0.5, plain_look=0.5, static_camera=0.4, constant_time=0.4)
#: Lengths in seconds of the clips that the probe learns to read, and how often; 0 is a single frame.
SPANS: Final = (4.0, 2.0, 1.0, 0.0)
_SPAN_SHARES: Final = (0.6, 0.16, 0.14, 0.1)
#: What only a whole clip shows, and what a single frame does not.
_NEEDS_ALL: Final = ("time_end",)
_NEEDS_TIME: Final = ("camera", "speed", "direction", "second_speed", "second_direction")

_BATCH: Final = 32
_POOL: Final = 3072
#: How often a rendered clip is used, on average, before it leaves the pool.
_USES: Final = 6
#: Clips that are rendered at once: of 32, each costs twice as much.
_PART: Final = 128
_MATRIX_RATE: Final = 0.02
_OTHER_RATE: Final = 2e-3
#: What is kept are weights averaged over the last few hundred steps.
_AVERAGE: Final = 0.995
#: Standard deviation, in widths of the picture, by which a close look misses the subject.
_MISS: Final = 0.02
#: Pixels along a side over which clips are averaged.
_BLURS: Final = (1, 1, 3, 3, 5)
#: Weight of the error of place, in widths of the picture, beside the cross-entropies.
_PLACE_WEIGHT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Examples:
    """Five frames of rendered clips with everything that is true of them.

    Attributes:
        frames_BKCHW: uint8 `[B, 5, 3, 64, 64]`.
        codes_BA: attribute codes; `ABSENT` for what is not there, or cannot be seen in so short a clip.
        place_BSKX: each subject's centre in 0..1 of width and height; NaN where absent.
        height_BSK: each subject's height in 0..1 of the picture's.
        seconds_B: from the first frame to the last.
    """

    frames_BKCHW: Tensor
    codes_BA: Tensor
    place_BSKX: Tensor
    height_BSK: Tensor
    seconds_B: Tensor

    def __len__(self) -> int:
        return int(self.seconds_B.shape[0])

    def pick(self, index_B: Tensor) -> Examples:
        """Some of the examples."""
        return Examples(*(getattr(self, field.name)[index_B] for field in fields(self)))


def draw_scenes(rng: random.Random, count: int) -> list[Scene]:
    """The training mix: mostly plain scenes, a quarter of everything, and some held-out compositions."""
    scenes = []
    for _ in range(count):
        chance = rng.random()
        mix = WIDE_MIX if chance < 0.3 else PLAIN_MIX
        scenes.append(sample_scene(rng, mix, held_out=chance > 0.85 or chance < 0.05))
    return scenes


def render_examples(scenes: Sequence[Scene], seconds: Sequence[float]) -> Examples:
    """Render five frames of each scene, spread evenly over its first `seconds`."""
    batch = batch_scenes(scenes)
    seconds_B = torch.tensor(seconds)
    rendered = render(batch, seconds_B[:, None] * torch.linspace(0, 1, LOOKS_AT), (SIDE, SIDE))
    codes_BA = batch.codes_BA.clone()
    for name in _NEEDS_ALL:
        codes_BA[seconds_B < max(SPANS), COLUMN[name]] = ABSENT
    for name in _NEEDS_TIME:
        codes_BA[seconds_B == 0, COLUMN[name]] = ABSENT
    return Examples(
        frames_BKCHW=(rendered.video_BTCHW * 255 + 0.5).byte(),
        codes_BA=codes_BA,
        place_BSKX=rendered.state_BSTK[..., :2],
        height_BSK=rendered.state_BSTK[..., 2],
        seconds_B=seconds_B,
    )


class Pool:
    """Rendered examples, a part of them replaced by new ones at every draw."""

    def __init__(self, rng: random.Random, size: int) -> None:
        self._rng = rng
        self._size = size
        self._parts: list[Examples] = []
        # So that the first steps do not learn a few clips by heart.
        self._owed = size / 4

    def draw(self, count: int) -> Examples:
        """Examples at random; new ones are rendered so that each is used `_USES` times on average."""
        self._owed += count / _USES
        part = min(_PART, self._size)
        while self._owed > 0:
            self._parts.append(self._render(part))
            self._owed -= part
        self._parts = self._parts[-max(1, self._size // part) :]
        picks = [self._rng.choice(self._parts) for _ in range(8)]
        return _joined([part.pick(torch.randint(len(part), (max(1, count // 8),))) for part in picks])

    def _render(self, count: int) -> Examples:
        return render_examples(draw_scenes(self._rng, count), self._rng.choices(SPANS, _SPAN_SHARES, k=count))


def mirrored(truth: Examples) -> Examples:
    """The same examples, half of them seen in a mirror."""
    flip_B = torch.rand(len(truth)) < 0.5
    codes_BA = truth.codes_BA.clone()
    for attribute in ATTRIBUTES:
        swapped = torch.tensor([attribute.values.index(MIRROR.get(value, value)) for value in attribute.values])
        column_B = codes_BA[:, COLUMN[attribute.name]]
        codes_BA[:, COLUMN[attribute.name]] = torch.where(flip_B & (column_B != ABSENT), swapped[column_B], column_B)
    across_BSK = torch.where(flip_B[:, None, None], 1 - truth.place_BSKX[..., 0], truth.place_BSKX[..., 0])
    place_BSKX = torch.stack([across_BSK, truth.place_BSKX[..., 1]], dim=-1)
    frames_BKCHW = torch.where(flip_B[:, None, None, None, None], truth.frames_BKCHW.flip(-1), truth.frames_BKCHW)
    return replace(truth, frames_BKCHW=frames_BKCHW, codes_BA=codes_BA, place_BSKX=place_BSKX)


def roughen(frames_BKCHW: Tensor) -> Tensor:
    """Frames in [0, 1] as a model might make them: blurred, noisy, off in colour, uneven from patch to patch."""
    batch, frames, channels = frames_BKCHW.shape[:3]
    out = torch.cat([_blurred(part) for part in torch.split(frames_BKCHW, 8)])
    gain = 1 + 0.07 * (2 * torch.rand(batch, 1, channels, 1, 1) - 1)
    offset = 0.03 * (2 * torch.rand(batch, 1, channels, 1, 1) - 1) + 0.01 * torch.randn(batch, frames, 1, 1, 1)
    seams = offset + 0.05 * torch.rand(batch, 1, 1, 1, 1).square() * torch.randn(batch, frames, channels, 8, 8)
    out.mul_(gain).add_(repeat(seams, "B K C H W -> B K C (H h) (W w)", h=SIDE // 8, w=SIDE // 8))
    # One field of noise for all, each clip at a place and a strength of its own: numbers cost as much as pictures.
    field = torch.randn(out[0].numel() + 64 * batch)
    for clip, start in zip(out, torch.randint(64 * batch, (batch,)).tolist(), strict=True):
        clip.add_(field[start : start + clip.numel()].view_as(clip), alpha=0.08 * float(torch.rand(())) ** 2)
    return out


def probe_loss(probe: Probe, frames_BKCHW: Tensor, truth: Examples) -> Tensor:
    """Cross-entropy of every attribute and of the subjects' places; two subjects are paired as fits the places best.

    Half of the clips are looked at closely where the probe finds the subjects, half about where they are: that is how
    it learns to recognise before it has learnt to find.
    """
    found = probe.find(frames_BKCHW, truth.seconds_B)
    codes_BSA = torch.stack([_subject_codes(truth, ordinal) for ordinal in ("", "second_")], dim=1)
    two_B = codes_BSA[:, 1, 0] != ABSENT
    straight_B, crossed_B = (_place_loss(found, truth, order) for order in ((0, 1), (1, 0)))
    swap_B = (crossed_B < straight_B) & two_B
    codes_BSA = torch.where(swap_B[:, None, None], codes_BSA.flip(1), codes_BSA)
    place_BSKX = torch.where(swap_B[:, None, None, None], truth.place_BSKX.flip(1), truth.place_BSKX)
    near_BSKX = place_BSKX.nan_to_num(0.5) + _MISS * torch.randn_like(place_BSKX)
    trust_B111 = torch.rand(len(truth), 1, 1, 1) < 0.5
    look_at_BSKX = torch.where(trust_B111, found.place_BSKX.detach(), near_BSKX)
    subjects = probe.recognise(frames_BKCHW, truth.seconds_B, found, two_B, look_at_BSKX)
    loss = torch.where(swap_B, crossed_B, straight_B).mean()
    for index, name in enumerate(PER_SUBJECT):
        loss = loss + _cross_entropy(subjects[name].flatten(0, 1), codes_BSA[..., index].flatten())
    for name in GLOBAL:
        loss = loss + _cross_entropy(found.logits[name], truth.codes_BA[:, COLUMN[name]])
    return loss + _cross_entropy(found.logits["count"], two_B.long())


def train_probe(
    minutes: float, seed: int = 0, report: Callable[[str], None] = print, begin: Probe | None = None
) -> Probe:
    """Train a probe: Muon, a learning rate that falls over the second half of the time, and averaged weights.

    Convolutions run in bfloat16 where the processor is measured to be faster at it.

    Args:
        minutes: of processor time, so that a busy machine takes longer and learns the same.
        seed: of weights and scenes.
        report: told how it goes.
        begin: a probe to go on from; it is trained in place.
    """
    torch.manual_seed(seed)
    probe = (begin or Probe()).train()
    readers = [probe.heat, probe.read_whole, probe.read_what, probe.read_moves]
    hidden = nn.ModuleList(module for module in probe.children() if module not in readers)
    optimisers = make_optimisers(hidden, readers, matrix_lr=_MATRIX_RATE, other_lr=_OTHER_RATE)
    move = get_ema_multi_avg_fn(_AVERAGE)  # type: ignore[no-untyped-call]  # torch does not annotate it
    averaged = AveragedModel(probe, multi_avg_fn=move, use_buffers=True)
    pool = Pool(random.Random(seed), _POOL)
    start, step = time.process_time(), 0
    while (share := (time.process_time() - start) / (60 * minutes)) < 1:
        set_learning_rates(optimisers, learning_rate_factor(step, share, decay=0.5))
        truth = mirrored(pool.draw(_BATCH))
        with fast_autocast(truth.frames_BKCHW.device):
            loss = probe_loss(probe, roughen(truth.frames_BKCHW.float() / 255), truth)
        probe.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        torch.nn.utils.clip_grad_norm_(probe.parameters(), 5.0)
        for optimiser in optimisers:
            optimiser.step()
        averaged.update_parameters(probe)
        if step % 100 == 0:
            report(f"step {step}, {share:.0%} of the time, loss {loss.item():.3f}")
        step += 1
    probe.load_state_dict(averaged.module.state_dict())
    return probe.eval()


def measure(probe: Probe, scenes: Sequence[Scene], seconds: float = 4.0, *, rough: bool = False) -> dict[str, Share]:
    """How often each attribute of these scenes is read right from fresh renders."""
    hits: dict[str, int] = {}
    seen: dict[str, int] = {}
    for start in range(0, len(scenes), _PART):
        part = list(scenes[start : start + _PART])
        truth = render_examples(part, [seconds] * len(part))
        frames = truth.frames_BKCHW.float() / 255
        readings = probe.read_frames(roughen(frames) if rough else frames, truth.seconds_B)
        for scene, found in zip(part, readings, strict=True):
            said = scene.values() | {"count": str(len(scene.subjects))}
            reading = in_order(found, said)
            for name, value in said.items():
                seen[name] = seen.get(name, 0) + 1
                hits[name] = hits.get(name, 0) + (reading.get(name) == value)
    return {name: Share(hits[name], seen[name]) for name in seen}


def measure_ceilings(probe: Probe, n: int = 4000, seed: int = 1_000_000) -> dict[str, float]:
    """How often each attribute is read right: on plain scenes, and what those do not vary on scenes of every sort."""
    rng = random.Random(seed)
    wide = measure(probe, [sample_scene(rng, WIDE_MIX) for _ in range(n)])
    plain = measure(probe, [sample_scene(rng, PLAIN_MIX, held_out=i % 4 == 0) for i in range(n)])
    constant = ("camera", "look", "time_end", "count")
    return {name: (wide[name] if name in constant or name not in plain else plain[name]).rate for name in wide}


def _subject_codes(truth: Examples, ordinal: str) -> Tensor:
    return truth.codes_BA[:, [COLUMN[f"{ordinal}{name}"] for name in PER_SUBJECT]]


def _place_loss(found: Found, truth: Examples, order: tuple[int, int]) -> Tensor:
    """How badly the subjects, taken in this order, are found: `[B]`; one that is not there costs nothing."""
    target_BSKX = truth.place_BSKX[:, order, ...]
    there_BSK = target_BSKX.isfinite().all(dim=-1)
    target_BSKX = target_BSKX.nan_to_num(0.5).clamp(0, 1)
    width_BSK1 = (0.3 * truth.height_BSK[:, order, ...].nan_to_num(0.2)).clamp(min=0.04)[..., None]
    distance_BSKN = (target_BSKX[..., None, :] - cell_centres(target_BSKX.device)).square().sum(dim=-1)
    target_BSKN = (-distance_BSKN / (2 * width_BSK1.square())).softmax(dim=-1)
    loss_BSK = -(target_BSKN * found.heat_BSKN).sum(dim=-1)
    loss_BSK = loss_BSK + _PLACE_WEIGHT * (found.place_BSKX - target_BSKX).abs().sum(dim=-1)
    return (loss_BSK * there_BSK).sum(dim=(1, 2)) / there_BSK.sum(dim=(1, 2)).clamp(min=1)


def _cross_entropy(logits_NV: Tensor, code_N: Tensor) -> Tensor:
    """Mean over those that have a code; zero if none has."""
    total = F.cross_entropy(logits_NV.float(), code_N, ignore_index=ABSENT, reduction="sum")
    return total / (code_N != ABSENT).sum().clamp(min=1)


def _blurred(frames_BKCHW: Tensor) -> Tensor:
    """Frames mixed with their average over 3x3 or 5x5 pixels, by a random share; often none."""
    side = _BLURS[int(torch.randint(len(_BLURS), ()))]
    if side == 1:
        return frames_BKCHW
    flat = rearrange(frames_BKCHW, "B K C H W -> (B K) C H W")
    mean = F.avg_pool2d(flat, side, stride=1, padding=side // 2, count_include_pad=False)
    return torch.lerp(flat, mean, float(torch.rand(()))).view_as(frames_BKCHW)


def _joined(parts: Sequence[Examples]) -> Examples:
    return Examples(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Examples)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a probe, measure it on fresh renders, and write it."""
    parser = argparse.ArgumentParser(description="Train the probe that evaluation reads clips with.")
    shipped = Path(str(files("kinemark.training").joinpath("weights/probe.safetensors")))
    parser.add_argument("--minutes", type=float, default=40.0, help="how long to train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--begin", type=Path, help="weights to go on from (default: from scratch)")
    parser.add_argument("--out", type=Path, default=shipped, help="where to write it (default: where it ships)")
    asked = parser.parse_args(arguments)
    begin = load_probe(asked.begin) if asked.begin else None
    probe = train_probe(asked.minutes, asked.seed, begin=begin)
    probe.half().float()  # measure what is stored
    probe.ceilings = measure_ceilings(probe)
    for name, rate in probe.ceilings.items():
        print(f"{name:18} {rate:.2%}{'' if probe.is_usable(name) else '   too low to be reported'}")
    save_probe(probe, asked.out, {"minutes": asked.minutes, "seed": asked.seed})


if __name__ == "__main__":
    main()
