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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import avg_pool2d, interpolate, mse_loss

from kinemark.errors import RequestError
from kinemark.model.autoencoder import encode
from kinemark.model.checkpoints import tensors_digest
from kinemark.rollout import conditions_of, roll
from kinemark.sampling.guidance import GUIDANCE
from kinemark.sampling.streaming import SamplerConfig
from kinemark.spark import spark_model
from kinemark.timeline import SPARK_FPS, STRENGTHS, PromptSpan, Timeline, video_from_frames
from kinemark.together import ALONE
from kinemark.training.changes import changed
from kinemark.training.exam import PLAIN, SIX, draw_questions
from kinemark.training.metrics import edge_sharpness, motion_energy
from kinemark.training.probe import SIDE, load_probe
from kinemark.worlds.captions import caption
from kinemark.worlds.render import render
from kinemark.worlds.spec import batch_scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from torch import Tensor

    from kinemark.model.load import Networks
    from kinemark.together import Together
    from kinemark.training.exam import Question
    from kinemark.training.probe import Probe
    from kinemark.worlds.captions import Caption
    from kinemark.worlds.spec import Scene

SIZE: Final = 256
#: Frames of the clips that are made or read whole: four seconds, as in `evaluate`.
FRAMES: Final = 33
#: Other sizes (height, width): the smallest and the largest, wide and tall, odd ones.
SIZES: Final = ((128, 128), (144, 256), (256, 144), (288, 512), (512, 288), (200, 136), (162, 390), (512, 512))

MINUTE: Final = 60 * SPARK_FPS
#: What has to stay as it is for a minute.
_LASTING: Final = ("setting", "subject", "colour")

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Bench:
    """What trials are made with."""

    model: Networks
    probe: Probe
    sampler: SamplerConfig = SamplerConfig()  # noqa: RUF009  a frozen value
    guidance: float = GUIDANCE

    @property
    def digest(self) -> str:
        """Names the weights and the steps that trials are made with."""
        return (
            f"{tensors_digest(self.model.path)[:16]}-{self.sampler.first_steps}-{self.sampler.steps}-{self.guidance:g}"
        )

    def make(self, timeline: Timeline, seed: int) -> Tensor:
        """The clip, `[T, C, H, W]` in [0, 1], in the bytes that would be released."""
        model = spark_model(self.model)
        sampler = self.sampler.fitted(self.model.config)
        conditions = conditions_of(timeline, model, seed)
        pieces = roll(timeline, model, model.experts(self.guidance, conditions, ""), conditions, sampler)
        return torch.cat([video_from_frames(piece) for piece in pieces])

    def read(self, video_TCHW: Tensor) -> dict[str, str]:
        """The attributes of a clip."""
        return self.probe.read(video_TCHW[None], SPARK_FPS)[0]


def truth(scene: Scene, frames: Iterable[int], size: tuple[int, int] = (SIZE, SIZE)) -> Tensor:
    """Frames of a scene as they should look, in bytes' precision."""
    time_BT = torch.tensor([list(frames)]) / SPARK_FPS
    video_BTCHW = render(batch_scenes([scene]), time_BT, size).video_BTCHW
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
    early, late = range(2 * SPARK_FPS), range(MINUTE - 5 * SPARK_FPS, MINUTE)
    drift = _drift(made[early.start : early.stop], made[late.start : late.stop])
    real = _drift(truth(question.scene, early), truth(question.scene, late))
    figures |= drift | {f"truth_{name}": value for name, value in real.items()}
    return figures | _motion(made[-FRAMES:], truth(question.scene, range(MINUTE - FRAMES, MINUTE)))


def _drift(early_TCHW: Tensor, late_TCHW: Tensor) -> Figures:
    """How far mean luminance and saturation have come, as shares of what they were."""
    pairs = {
        "luminance_drift": (early_TCHW.mean(), late_TCHW.mean()),
        "saturation_drift": (_saturation(early_TCHW), _saturation(late_TCHW)),
    }
    return {name: float((later - before).abs() / before) for name, (before, later) in pairs.items()}


def ablated(change: Callable[[SamplerConfig], SamplerConfig]) -> Callable[[Bench, Question], Figures]:
    """The trial of a minute with another sampler: what a remedy is for shows when it is left out."""
    return lambda bench, question: minute(replace(bench, sampler=change(bench.sampler)), question)


def _remembering(sampler: SamplerConfig, *, window: int, sinks: int) -> SamplerConfig:
    """The sampler remembering more, in both passes."""
    coarse = replace(sampler.coarse, memory=replace(sampler.coarse.memory, window=window, sinks=sinks))
    return replace(sampler, cache=replace(sampler.cache, window=window, sinks=sinks), coarse=coarse)


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


def sizes(bench: Bench, question: Question) -> Figures:
    """A clip from text in one of the sizes of `SIZES`, read squashed to a square; so is truth of that size."""
    size = SIZES[question.seed % len(SIZES)]
    made = bench.make(_from_text(question.prompt, FRAMES, size), question.seed)
    clips = {"": made, "truth_": truth(question.scene, range(FRAMES), size)}
    figures: Figures = {}
    for name, video in clips.items():
        read = bench.read(interpolate(video, (SIDE, SIDE), mode="area"))
        right = _right(read, question.said, SIX)
        figures |= {f"{name}{figure}": hit for figure, hit in right.items()}
        figures |= {f"{name}all_{size[1]}x{size[0]}": right["all"]}
    return figures


def _from_text(prompt: str, frames: int, size: tuple[int, int] = (SIZE, SIZE)) -> Timeline:
    return Timeline.from_text(prompt, num_frames=frames, fps=SPARK_FPS, size=size)


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
    "sizes": sizes,
    "minute without noise": ablated(lambda sampler: replace(sampler, history_sigma=0.0)),
    "minute with a long memory": ablated(lambda sampler: _remembering(sampler, window=8, sinks=1)),
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
    model: Networks,
    verbs: Sequence[str],
    n: int,
    *,
    work: Path | None = None,
    bench: Bench | None = None,
    progress: Callable[[int, int], None] | None = None,
    together: Together = ALONE,
) -> dict[str, list[Figures]]:
    """Run `n` trials of each verb.

    Args:
        model: what is measured.
        verbs: of `TRIALS`.
        n: trials of each.
        work: a folder that keeps finished trials, so that an interrupted measurement goes on where it was; it is of
            use to one version of the program.
        bench: what trials are made with; the usual one by default.
        progress: told (trials done, all trials), of this process.
        together: processes that share the trials out among them, in the same `work`.

    Raises:
        RequestError: several processes have no folder in common.
    """
    if work is None:
        if together.count > 1:
            raise RequestError("processes that evaluate together need a common folder for their trials: --work FOLDER")
        with TemporaryDirectory() as made:
            return measure(model, verbs, n, work=Path(made), bench=bench, progress=progress)
    bench = bench or Bench(model, load_probe())
    folder = work / bench.digest
    folder.mkdir(parents=True, exist_ok=True)
    questions = draw_questions(PLAIN, n)
    own = [(verb, number) for verb in verbs for number in range(together.rank, n, together.count)]
    done = {verb: _done(folder, verb) for verb in verbs}
    for count, (verb, number) in enumerate(own, 1):
        if number not in done[verb]:
            _keep(
                folder / f"{_stem(verb)}-{together.rank}-{together.count}.jsonl",
                number,
                TRIALS[verb](bench, questions[number]),
            )
        if progress:
            progress(count, len(own))
    together.wait()
    found = {verb: _done(folder, verb) for verb in verbs}
    return {verb: [trial for number, trial in sorted(trials.items()) if number < n] for verb, trials in found.items()}


def _stem(verb: str) -> str:
    return verb.replace(" ", "_")


def _keep(path: Path, number: int, figures: Figures) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"number": number, **figures}) + "\n")


def _done(folder: Path, verb: str) -> dict[int, Figures]:
    done = {}
    for path in folder.glob(f"{_stem(verb)}-[0-9]*.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            figures = json.loads(line)
            done[int(figures.pop("number"))] = figures
    return done
