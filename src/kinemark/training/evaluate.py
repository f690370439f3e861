"""How well a model does what it is told, and how well it moves: measured on latents, read by the probe.

Every clip is held against the rendered truth of the scene that its prompt describes. All figures are computed from one
record a clip (`summary.ClipRecord`), so that an evaluation can be interrupted and taken up again, batch by batch.

Shape suffixes: B batch, F slots, T pixel frames, C channels, H W size, L D text tokens, N D reference thumbnails.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from kinemark.errors import RequestError
from kinemark.model.autoencoder import unpack
from kinemark.model.checkpoints import tensors_digest
from kinemark.model.planner import lay_out
from kinemark.sampling.coarse import experts_of, sample_coarse_first
from kinemark.sampling.conditions import Conditions
from kinemark.sampling.guidance import GUIDANCE
from kinemark.sampling.streaming import SamplerConfig
from kinemark.timeline import SPARK_FPS, slot_count
from kinemark.together import ALONE
from kinemark.training.exam import HELD_OUT, PLAIN, SIX, WIDE, Group, Question, draw_questions
from kinemark.training.metrics import drift, edge_sharpness, flicker, motion_energy, nearest_distance, thumbnail
from kinemark.training.probe import SIDE, Probe, in_order, load_probe
from kinemark.training.sheet import SHEET_FRAMES
from kinemark.training.summary import ClipRecord, Report, summarise
from kinemark.worlds.render import render
from kinemark.worlds.spec import batch_scenes, sample_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from kinemark.model.load import Networks
    from kinemark.model.planner import LayoutPlanner
    from kinemark.model.text import TextEncoder
    from kinemark.model.transformer import Transformer
    from kinemark.together import Together

#: Four seconds. `evaluate` compares whole clips: direction and a change of light need them.
FRAMES: Final = 33
#: Strips of the contact sheet: the first clips of the plain group.
SHEET_CLIPS: Final = 20
#: Clips of the plain group that are decoded and read again at 256 pixels.
_DECODED: Final = 40


class LatentSampler(Protocol):
    """Makes clips of prompts."""

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int], frames: int) -> Tensor:
        """`latent_BCFHW` of one clip a prompt, 64x64 latent pixels, long enough for `frames` frames."""


@dataclass(frozen=True, slots=True)
class TextToLatent:
    """A model's experts with its text encoder as a `LatentSampler`; all prompts of a call are sampled together."""

    transformer: Transformer
    scene: Transformer | None
    planner: LayoutPlanner | None
    text: TextEncoder
    config: SamplerConfig = SamplerConfig()  # noqa: RUF009  a frozen value
    guidance: float = GUIDANCE

    @torch.no_grad()
    def __call__(self, prompts: Sequence[str], seeds: Sequence[int], frames: int) -> Tensor:
        """See `LatentSampler`."""
        device = next(self.transformer.parameters()).device
        shape = (self.transformer.config.in_channels, slot_count(frames), SIDE, SIDE)
        tokens_BLD = self.text.encode(["", *prompts])
        drawn = Conditions.from_text(tokens_BLD[1:].cpu(), seeds, shape)
        if self.planner:
            drawn = replace(drawn, layout_BSFK=lay_out(self.planner, drawn.text_BFLD, seeds, (SIDE, SIDE)))
        conditions = drawn.to(device)
        experts = experts_of(self.transformer, self.scene, tokens_BLD[0].to(device), self.guidance)
        return sample_coarse_first(experts, conditions, self.config.fitted(self.transformer.config)).cpu()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation looks at, and how; the defaults are what is published."""

    n: int = 300
    held_out: int = 100
    wide: int = 60
    seed: int = 0
    frames: int = FRAMES
    batch: int = 20
    reference_clips: int = 1000

    def batches(self) -> Iterator[tuple[Group, int, list[Question]]]:
        """(group, number of the first question, questions), in order."""
        for group, count in ((PLAIN, self.n), (HELD_OUT, self.held_out), (WIDE, self.wide)):
            questions = draw_questions(group, count, self.seed)
            for start in range(0, count, self.batch):
                yield group, start, questions[start : start + self.batch]


def evaluate(
    model: Networks,
    *,
    plan: Evaluation | None = None,
    config: SamplerConfig | None = None,
    guidance: float = GUIDANCE,
    work: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    together: Together = ALONE,
) -> Report:
    """Evaluate a model that was loaded by name; at most 20 minutes on two cores.

    Args:
        model: what to evaluate.
        plan: how many prompts of which kind, how long the clips, which seed.
        config: steps and solver; by default those of `generate`.
        guidance: how closely the prompt is followed.
        work: a folder that keeps finished batches, so that an interrupted evaluation goes on where it was.
        progress: told (batches done, all batches) of this process.
        together: processes that share the batches out among them, in the same `work`.

    Raises:
        RequestError: several processes have no folder in common.
        FailureError: the probe reads one of the six attributes too rarely right, or the text-shuffle control fails.
    """
    config = config or SamplerConfig()
    facts = {
        "model": model.name,
        "tensors_digest": tensors_digest(model.path),
        "first_steps": config.first_steps,
        "steps": config.steps,
        "guidance": guidance,
    }
    sampler = TextToLatent(model.transformer, model.scene, model.planner, model.text, config, guidance)
    return examine(
        sampler,
        load_probe(),
        plan,
        decode=model.autoencoder.decode,
        facts=facts,
        work=work,
        progress=progress,
        together=together,
    )


def examine(
    sample: LatentSampler,
    probe: Probe,
    plan: Evaluation | None = None,
    *,
    decode: Callable[[Tensor], Tensor] | None = None,
    facts: dict[str, object] | None = None,
    work: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    together: Together = ALONE,
) -> Report:
    """Evaluate whatever makes latents of prompts; `decode` makes pictures of them, the rest is as in `evaluate`."""
    if together.count > 1 and work is None:
        raise RequestError("processes that evaluate together need a common folder for their batches: --work FOLDER")
    probe.require(SIX)
    plan = plan or Evaluation()
    started = time.monotonic()
    facts = (facts or {}) | asdict(plan)
    folder = work / _digest(facts) if work else None
    batches = list(plan.batches())
    reference_ND = reference_thumbnails(plan)

    def examined(number: int) -> _Part:
        group, start, questions = batches[number]
        path = folder / f"{group.name}-{start:04d}.safetensors" if folder else None
        read_again = decode if group is PLAIN and start < _DECODED else None
        make = partial(_examine_batch, sample, probe, questions, plan.frames, reference_ND, group, read_again)
        return _kept(path, make)

    own = range(together.rank, len(batches), together.count)
    parts: dict[int, _Part] = {}
    for number in own:
        parts[number] = examined(number)
        if progress:
            progress(len(parts), len(own))
    together.wait()
    records: list[ClipRecord] = []
    shown = []
    for number, (group, start, _) in enumerate(batches):
        part = parts[number] if number in parts else examined(number)
        records += part.records
        if group is PLAIN and start < SHEET_CLIPS:
            shown.append(part.shown_BTCHW)
    report = summarise(records, probe.ceilings, facts | {"seconds": round(time.monotonic() - started, 1)})
    prompts = [question.prompt for question in draw_questions(PLAIN, min(plan.n, SHEET_CLIPS), plan.seed)]
    return replace(report, sheet_prompts=tuple(prompts), sheet_BTCHW=torch.cat(shown)[:SHEET_CLIPS])


def quick_evaluate(
    sample: LatentSampler, probe: Probe, *, n: int = 64, frames: int = 9, seed: int = 0, budget: float = 60.0
) -> dict[str, float]:
    """A first impression for the training log: adherence on plain prompts, and motion against truth.

    Args:
        sample: for example `TextToLatent(transformer, scene, encoder)`.
        probe: from `load_probe`; its ceilings are not asked for here.
        n: how many prompts at most.
        frames: length of a clip; 1 reads single frames, which have no direction.
        seed: of the prompts.
        budget: seconds after which no further batch is begun.

    Returns:
        Rates by attribute and "all" (without direction for single frames), "motion_energy_ratio" where there is
        motion, and "n".
    """
    names = [name for name in SIX if name != "direction" or frames > 1]
    hits = dict.fromkeys([*names, "all"], 0)
    moved = truth_moved = 0.0
    seen, started = 0, time.monotonic()
    questions = draw_questions(PLAIN, n, seed)
    for start in range(0, n, 16):
        part = questions[start : start + 16]
        if seen and time.monotonic() - started > budget:
            break
        video_BTCHW = small_video(sample, [q.prompt for q in part], [q.seed for q in part], frames)
        for question, reading in zip(part, probe.read(video_BTCHW, SPARK_FPS), strict=True):
            right = [name for name in names if reading[name] == question.said[name]]
            for name in [*right, *(["all"] if len(right) == len(names) else [])]:
                hits[name] += 1
        if frames > 1:
            moved += float(motion_energy(video_BTCHW).sum())
            truth_moved += float(motion_energy(_truth(part, frames)).sum())
        seen += len(part)
    rates = {name: count / seen for name, count in hits.items()} | {"n": float(seen)}
    return rates | ({"motion_energy_ratio": moved / truth_moved} if truth_moved else {})


def reference_thumbnails(plan: Evaluation) -> Tensor:
    """Thumbnails `[N, D]` of clips as training sees them: the mix of training, other seeds than any question's."""
    rng = random.Random(f"kinemark reference {plan.seed}")
    scenes = [sample_scene(rng) for _ in range(plan.reference_clips)]
    time_T = torch.tensor([0.0, 0.5, 1.0]) * (plan.frames - 1) / SPARK_FPS
    parts = []
    for start in range(0, len(scenes), 64):
        batch = batch_scenes(scenes[start : start + 64])
        parts.append(thumbnail(render(batch, time_T.expand(len(batch), -1), (SIDE, SIDE)).video_BTCHW))
    return torch.cat(parts)


@dataclass(frozen=True, slots=True)
class _Part:
    """The records of a batch, and the frames of its clips that a contact sheet shows (uint8)."""

    records: list[ClipRecord]
    shown_BTCHW: Tensor


@torch.no_grad()
def _examine_batch(
    sample: LatentSampler,
    probe: Probe,
    questions: Sequence[Question],
    frames: int,
    reference_ND: Tensor,
    group: Group,
    decode: Callable[[Tensor], Tensor] | None,
) -> _Part:
    latent_BCFHW = sample([q.prompt for q in questions], [q.seed for q in questions], frames)
    video_BTCHW, truth_BTCHW = unpack(latent_BCFHW)[:, :frames].clamp(0, 1), _truth(questions, frames)
    decoded: list[dict[str, str]] | list[None] = [None] * len(questions)
    if decode:
        decoded = [probe.read(decode(latent_BCFHW[i : i + 1])[:, :frames], SPARK_FPS)[0] for i in range(len(questions))]
    records = [
        ClipRecord(
            group.name, question.said, in_order(read, question.said), in_order(truth_read, question.said), *figures
        )
        for question, read, truth_read, *figures in zip(
            questions,
            probe.read(video_BTCHW, SPARK_FPS),
            probe.read(truth_BTCHW, SPARK_FPS),
            _measured(video_BTCHW, reference_ND),
            _measured(truth_BTCHW, reference_ND),
            decoded,
            strict=True,
        )
    ]
    shown = video_BTCHW[:, [frame for frame in SHEET_FRAMES if frame < frames]]
    return _Part(records, (shown * 255).round().byte())


def small_video(sample: LatentSampler, prompts: Sequence[str], seeds: Sequence[int], frames: int) -> Tensor:
    """A clip `[B, T, 3, 64, 64]` in [0, 1] of each prompt, as the probe reads them: at the latents' resolution."""
    return unpack(sample(prompts, seeds, frames))[:, :frames].clamp(0, 1)


def _truth(questions: Sequence[Question], frames: int) -> Tensor:
    """The scenes of the questions as they should look, `[B, T, 3, 64, 64]`."""
    batch = batch_scenes([question.scene for question in questions])
    time_BT = (torch.arange(frames) / SPARK_FPS).expand(len(batch), -1)
    return render(batch, time_BT, (SIDE, SIDE)).video_BTCHW


def _measured(video_BTCHW: Tensor, reference_ND: Tensor) -> list[dict[str, float]]:
    """The figures of each clip, by the names of `summary.RATIOS`."""
    figures = {
        "motion_energy": motion_energy(video_BTCHW),
        "edge_sharpness": edge_sharpness(video_BTCHW),
        "flicker": flicker(video_BTCHW),
        "drift": drift(video_BTCHW),
        "nearest": nearest_distance(thumbnail(video_BTCHW), reference_ND),
    }
    return [dict(zip(figures, row, strict=True)) for row in torch.stack(list(figures.values()), dim=1).tolist()]


def _digest(facts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _kept(path: Path | None, make: Callable[[], _Part]) -> _Part:
    """A batch from its file; where that is missing, it is made and written."""
    if path and path.is_file():
        return _load_part(path)
    part = make()
    if path:
        _save_part(path, part)
    return part


def _save_part(path: Path, part: _Part) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".partial")
    records = json.dumps([asdict(record) for record in part.records])
    save_file({"shown": part.shown_BTCHW.contiguous()}, partial_path, metadata={"records": records})
    partial_path.replace(path)


def _load_part(path: Path) -> _Part:
    with safe_open(path, framework="pt") as stored:
        records = [ClipRecord(**record) for record in json.loads(stored.metadata()["records"])]
        return _Part(records, stored.get_tensor("shown"))
