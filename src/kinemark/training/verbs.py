"""How well the verbs keep, join and change what they are given: on decoded frames, against rendered truth.

Trial number i of a verb is drawn from the i-th plain question of the exam (`training.exam`): its scene is rendered, a
part of it is given, and the rest is made by the same code that makes every clip. Whatever is compared with a frame is
compared at its size; what is read is read by the probe.

Shape suffixes: T frames, C channels, H W size.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import avg_pool2d, mse_loss

from kinemark.model.autoencoder import encode
from kinemark.rollout import conditions_of, guided_experts, roll
from kinemark.sampling.guidance import GUIDANCE
from kinemark.sampling.streaming import SamplerConfig
from kinemark.shares import Share
from kinemark.timeline import SPARK_FPS, STRENGTHS, PromptSpan, Timeline, video_from_frames
from kinemark.training.changes import changed
from kinemark.training.exam import PLAIN, SIX, draw_questions
from kinemark.training.metrics import edge_sharpness, motion_energy
from kinemark.training.probe import SIDE, load_probe
from kinemark.training.together import ALONE
from kinemark.worlds.captions import caption
from kinemark.worlds.render import render
from kinemark.worlds.spec import batch_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from kinemark.model.load import Model
    from kinemark.training.exam import Question
    from kinemark.training.probe import Probe
    from kinemark.training.together import Together
    from kinemark.worlds.captions import Caption
    from kinemark.worlds.spec import Scene

SIZE: Final = 256
#: Frames of the clips that are made or read whole: four seconds, as in `evaluate`.
FRAMES: Final = 33
#: A join may be no more visible than this many times the clip's median change.
SEAM: Final = 1.5

MINUTE: Final = 60 * SPARK_FPS
#: What has to stay as it is for a minute.
_LASTING: Final = ("setting", "subject", "colour")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """What trials are made with."""

    model: Model
    probe: Probe
    sampler: SamplerConfig = SamplerConfig()  # noqa: RUF009  a frozen value
    guidance: float = GUIDANCE

    def make(self, timeline: Timeline, seed: int) -> Tensor:
        """The clip, `[T, C, H, W]` in [0, 1], in the bytes that would be released."""
        sampler = self.sampler.fitted(self.model.config)
        conditions = conditions_of(timeline, self.model, seed)
        experts = guided_experts(self.model, self.guidance)
        return torch.cat([video_from_frames(p) for p in roll(timeline, self.model, experts, conditions, sampler)])

    def read(self, video_TCHW: Tensor) -> dict[str, str]:
        """The attributes of a clip."""
        return self.probe.read(video_TCHW[None], SPARK_FPS)[0]


def truth(scene: Scene, frames: Iterable[int]) -> Tensor:
    """Frames of a scene as they should look, in bytes' precision."""
    time_BT = torch.tensor([list(frames)]) / SPARK_FPS
    video_BTCHW = render(batch_scenes([scene]), time_BT, (SIZE, SIZE)).video_BTCHW
    return (video_BTCHW[0] * 255).round() / 255


def animate(bench: Bench, question: Question) -> Figures:
    """Image to video: the first frame is given."""
    real = truth(question.scene, range(FRAMES))
    made = bench.make(Timeline.from_image(real[0], question.prompt, num_frames=FRAMES, fps=SPARK_FPS), question.seed)
    decoded = bench.model.autoencoder.decode(encode(real[None, :1]))[0]
    sharp = [float(edge_sharpness(made[None, t : t + 1])) for t in range(5)]
    read = bench.read(made)
    return {
        "pasted": float(torch.equal(made[0], real[0])),
        "decoded_psnr": -10 * float(mse_loss(decoded, real[:1]).log10()),
        "sharpness": sum(sharp[1:]) / 4 / sharp[0],
        **_motion(made, real),
        **_right(read, question.said, SIX),
    }


def extend(bench: Bench, question: Question) -> Figures:
    """Two seconds are given, four are made after them."""
    real = truth(question.scene, range(49))
    timeline = Timeline.extend(real[:17], question.prompt, after=32, fps=SPARK_FPS)
    return _continued(bench, question, timeline, real, joins=(17,), part=slice(16, 49))


def extend_before(bench: Bench, question: Question) -> Figures:
    """Two seconds are given, four are made before them."""
    real = truth(question.scene, range(49))
    timeline = Timeline.extend(real[32:], question.prompt, before=32, fps=SPARK_FPS)
    return _continued(bench, question, timeline, real, joins=(32,), part=slice(0, 33))


def connect(bench: Bench, question: Question) -> Figures:
    """One second and another one of the same scene are given, the four between them are made."""
    real = truth(question.scene, range(48))
    timeline = Timeline.connect(real[:9], real[41:], question.prompt, gap=32, fps=SPARK_FPS)
    return _continued(bench, question, timeline, real, joins=(9, 41), part=slice(8, 41))


def loop(bench: Bench, question: Question) -> Figures:
    """Four seconds are given; what leads from their end to their beginning is made."""
    real = truth(question.scene, range(FRAMES))
    made = bench.make(Timeline.loop(real, question.prompt, seam=8, fps=SPARK_FPS), question.seed)
    begins = FRAMES - FRAMES // 2
    around = torch.cat([made, made[:1]])
    return {"seam": _seam(around, (begins, begins + 8, len(made))), "around": _seam(around, (len(made),))}


def remix(bench: Bench, question: Question) -> Figures:
    """A clip and a prompt that says one thing otherwise, at "mild"."""
    rng = random.Random(f"kinemark remix {question.seed}")
    change = changed(question.scene, rng)
    name, scene = change.name, change.scene
    told = _full_caption(scene, rng)
    real = truth(question.scene, range(FRAMES))
    timeline = Timeline.remix(real, told.text, strength=STRENGTHS["mild"], fps=SPARK_FPS)
    made = bench.make(timeline, question.seed)
    read, asked = bench.read(made), told.said
    others = [other for other in SIX if other != name]
    return {
        "changed": float(read[name] == asked[name]),
        f"changed_{name}": float(read[name] == asked[name]),
        "kept": sum(read[other] == asked[other] for other in others) / len(others),
        "all_kept": float(all(read[other] == asked[other] for other in others)),
        **_motion(made, truth(scene, range(FRAMES))),
    }


def minute(bench: Bench, question: Question) -> Figures:
    """A minute of one prompt: what is still right after 2, 10, 30 and 60 seconds, and how far colours have drifted."""
    made = bench.make(_from_text(question.prompt, MINUTE), question.seed)
    figures: Figures = {}
    for second in (2, 10, 30, 60):
        end = min(second * SPARK_FPS, len(made))
        read = bench.read(made[max(0, end - FRAMES) : end])
        figures[f"right_{second}"] = float(all(read[name] == question.said[name] for name in _LASTING))
        figures |= {f"{name}_{second}": float(read[name] == question.said[name]) for name in _LASTING}
    early, late = made[: 2 * SPARK_FPS], made[-5 * SPARK_FPS :]
    figures["luminance_drift"] = float((late.mean() - early.mean()).abs() / early.mean())
    figures["saturation_drift"] = float((_saturation(late) - _saturation(early)).abs() / _saturation(early))
    return figures | _motion(made[-FRAMES:], truth(question.scene, range(MINUTE - FRAMES, MINUTE)))


def prompts(bench: Bench, question: Question) -> Figures:
    """A minute of three prompts, each with one thing changed: whether that is seen within three seconds."""
    rng = random.Random(f"kinemark prompts {question.seed}")
    first = changed(question.scene, rng)
    second = changed(first.scene, rng)
    spans = [PromptSpan(question.prompt)]
    for number, change in enumerate((first, second), 1):
        spans.append(PromptSpan(_full_caption(change.scene, rng).text, number * MINUTE // 3))
    made = bench.make(replace(_from_text("", MINUTE), prompts=tuple(spans)), question.seed)
    figures: Figures = {}
    for number, change in enumerate((first, second), 1):
        at = number * MINUTE // 3 + 3 * SPARK_FPS
        read, asked = bench.read(made[at - SPARK_FPS : at + 1]), change.scene.values()
        hit = float(read[change.name] == asked[change.name])
        figures |= {f"changed_{number}": hit, f"changed_{change.name}": hit}
    read, asked = bench.read(made[-FRAMES:]), second.scene.values()
    return figures | {f"{name}_60": float(read[name] == asked[name]) for name in _LASTING}


def _from_text(prompt: str, frames: int) -> Timeline:
    return Timeline.from_text(prompt, num_frames=frames, fps=SPARK_FPS, size=(SIZE, SIZE))


def _full_caption(scene: Scene, rng: random.Random) -> Caption:
    """A caption that says all of the six."""
    told = caption(scene, rng, "detailed")
    while not set(SIX) <= told.said.keys():
        told = caption(scene, rng, "detailed")
    return told


def _saturation(video_TCHW: Tensor) -> Tensor:
    """The mean saturation of pixels, (largest - smallest) / largest of their three values."""
    largest, smallest = video_TCHW.amax(1), video_TCHW.amin(1)
    return ((largest - smallest) / largest.clamp(min=1e-3)).mean()


#: Every trial, by the verb that it tries.
TRIALS: Final[Mapping[str, Callable[[Bench, Question], Figures]]] = {
    "animate": animate,
    "extend": extend,
    "extend before": extend_before,
    "connect": connect,
    "loop": loop,
    "remix": remix,
    "minute": minute,
    "prompts": prompts,
}


def _continued(
    bench: Bench, question: Question, timeline: Timeline, real: Tensor, joins: Sequence[int], part: slice
) -> Figures:
    made = bench.make(timeline, question.seed)
    read = bench.read(made[part])
    return {
        "seam": _seam(made, joins),
        **_motion(made[part], real[part]),
        **_right(read, question.said, ("setting", "time", "weather", "subject", "colour")),
        "kept": float(all(read[name] == question.said[name] for name in ("subject", "colour"))),
    }


def _right(read: Mapping[str, str], said: Mapping[str, str], names: Sequence[str]) -> Figures:
    hits = {name: float(read[name] == said[name]) for name in names}
    return hits | {"all": float(all(hits.values()))}


def _seam(video_TCHW: Tensor, joins: Sequence[int]) -> float:
    """The largest change across the joins (frame t beside t - 1), in units of the clip's median change."""
    change_T = (video_TCHW[1:] - video_TCHW[:-1]).abs().mean(dim=(1, 2, 3))
    return float(change_T[[join - 1 for join in joins]].max() / change_T.median().clamp(min=1e-6))


def _motion(video_TCHW: Tensor, real_TCHW: Tensor) -> Figures:
    """The motion of a clip and of truth, whose means over all clips are compared: some scenes hardly move."""
    small, real = (avg_pool2d(video, SIZE // SIDE)[None] for video in (video_TCHW, real_TCHW))
    return {"moved": float(motion_energy(small)), "truth_moved": float(motion_energy(real))}


def measure(
    model: Model,
    verbs: Sequence[str],
    n: int,
    *,
    work: Path,
    bench: Bench | None = None,
    report: Callable[[str], None] = print,
    together: Together = ALONE,
) -> dict[str, list[Figures]]:
    """Run `n` trials of each verb; finished ones are kept in `work`, line by line, and not run again.

    Args:
        model: what is measured.
        verbs: of `TRIALS`.
        n: trials of each.
        work: a folder for this model's trials.
        bench: what they are made with; the usual one by default.
        report: told after every tenth trial.
        together: processes that share the trials out among them, in the same `work`.
    """
    bench = bench or Bench(model, load_probe())
    questions = draw_questions(PLAIN, n)
    work.mkdir(parents=True, exist_ok=True)
    for verb in verbs:
        own = work / f"{verb.replace(' ', '_')}-{together.rank}-{together.count}.jsonl"
        done = _done(work, verb)
        for number in range(together.rank, n, together.count):
            if number in done:
                continue
            figures = TRIALS[verb](bench, questions[number])
            with own.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"number": number, **figures}) + "\n")
            if number % 10 == together.rank:
                report(f"{verb} {number + 1} of {n}")
    together.wait()
    found = {verb: _done(work, verb) for verb in verbs}
    return {verb: [figures for number, figures in sorted(done.items()) if number < n] for verb, done in found.items()}


def _done(work: Path, verb: str) -> dict[int, Figures]:
    done = {}
    for path in work.glob(f"{verb.replace(' ', '_')}-[0-9]*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            figures = json.loads(line)
            done[int(figures.pop("number"))] = figures
    return done


def told(trials: Mapping[str, list[Figures]]) -> list[str]:
    """Lines that tell the figures: shares with their intervals, of ratios the median and the share within bounds."""
    lines = []
    for verb, figures in trials.items():
        lines.append(f"{verb} (n = {len(figures)})")
        for name in dict.fromkeys(name for one in figures for name in one):
            values = [one[name] for one in figures if name in one]
            lines.append(f"  {name:<16} {_line(name, values)}")
        moved, real = (sum(one.get(name, 0.0) for one in figures) for name in ("moved", "truth_moved"))
        if real:
            lines.append(f"  motion           {moved / real:.2f} of truth's")
    return lines


#: Ratios, and between what they have to lie.
_BOUNDS: Final = {
    "seam": (0.0, SEAM),
    "around": (0.0, SEAM),
    "sharpness": (0.8, 99.0),
    "decoded_psnr": (30.0, 99.0),
    "luminance_drift": (0.0, 0.08),
    "saturation_drift": (0.0, 0.08),
}


def _line(name: str, values: Sequence[float]) -> str:
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        share = Share(sum(low <= value <= high for value in values), len(values))
        return f"median {median(values):.2f}; within {low:g} to {high:g}: {_share(share)}"
    if set(values) <= {0.0, 1.0}:
        return _share(Share(int(sum(values)), len(values)))
    return f"mean {sum(values) / len(values):.3f}"


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.rate:.1%} ({low:.1%} to {high:.1%}, n = {share.n})"
