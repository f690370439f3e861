"""The one path from a request to a clip: gates, text, given frames, sampling, decoding, gates again.

Everything that makes video calls `generate`; everything that writes one calls `Clip.save`, which goes through
`provenance.release`.

Shape suffixes: B batch (1 here), P prompts, F slots (stills that lead the clip come after the slots of the clip),
C channels, T frames, H W size, L tokens, D width.
"""

from __future__ import annotations

import math
import secrets
import sys
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import torch
from einops import rearrange

from kinemark.admission import admit, enter_uses, require_words
from kinemark.errors import RequestError
from kinemark.model.autoencoder import SCALE, encode
from kinemark.model.layout import empty_layout
from kinemark.model.load import Model, load_model
from kinemark.model.planner import lay_out
from kinemark.model.text import count_words
from kinemark.model.tokenizer import MAX_WORDS
from kinemark.provenance.release import Released, ReleaseFacts, release
from kinemark.provenance.signing.given import GivenSpan, given_spans
from kinemark.safety.gates import judge_output, refusal
from kinemark.sampling.coarse import count_steps, experts_of, stream_coarse_first
from kinemark.sampling.conditions import Conditions, draw_noise
from kinemark.sampling.flow import clean_from_velocity, per_slot
from kinemark.sampling.guidance import GUIDANCE
from kinemark.sampling.streaming import SamplerConfig
from kinemark.settings import Settings, load_settings
from kinemark.timeline import SPARK_SIZES, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from kinemark.model.text import Reading
    from kinemark.provenance.signing.credits import Credits
    from kinemark.safety.decision import Decision
    from kinemark.sampling.solvers import Watcher

MAX_SECONDS: Final = 60
MAX_FPS: Final = 30
MAX_STEPS: Final = 200
MAX_GUIDANCE: Final = 20.0


class Progress(Protocol):
    """Told how far a clip is."""

    def __call__(self, stage: str, step: int, total: int, preview_CFHW: Tensor | None = None) -> None:
        """A stage ("load", "sample", "decode", "check") is at `step` of `total`.

        While it samples, `preview_CFHW` is a guess at the clean latents of the slots in work.
        """


def _silent(stage: str, step: int, total: int, preview_CFHW: Tensor | None = None) -> None:
    """The `Progress` of whoever does not want to know."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A clip that the gates allow; `save` is the way to a file.

    Attributes:
        frames_THWC: RGB bytes.
        fps: frames a second.
        decision: what the gates said about exactly these frames.
        prompt: what was made; the prompts of a storyboard, a line each. The policy may have put it in other words.
        model: name of the model; `weights_digest` is the SHA-256 of its weights.
        seed: the same request with the same seed is the same clip.
        understood: for each prompt, what of it the model understood and which words it does not know.
        given: what of the clip was given and not made.
        sources: the files that it was given from; the manifest names them, with their own manifests.
    """

    frames_THWC: NDArray[np.uint8]
    fps: int
    decision: Decision
    prompt: str
    model: str
    weights_digest: str
    seed: int
    understood: tuple[Reading, ...]
    given: tuple[GivenSpan, ...] = ()
    sources: tuple[Path, ...] = ()

    def save(
        self,
        path: Path | str,
        *,
        settings: Settings | None = None,
        write_prompt: bool = False,
        credits: Credits | None = None,  # noqa: A002  (what they are called)
    ) -> Released:
        """Mark, encode, sign and record the clip, and write it to `path` (which ends in .mp4).

        Args:
            path: where the file goes.
            settings: where keys and ledger are; by default as the environment says.
            write_prompt: whether everybody who gets the file may read the prompt in it.
            credits: what the manifest says about who made it and who owns it.

        Raises:
            KinemarkError: as `provenance.release.release` says.
        """
        facts = ReleaseFacts(
            fps=self.fps,
            model=self.model,
            weights_digest=self.weights_digest,
            prompt=self.prompt,
            write_prompt=write_prompt,
            given=self.given,
            sources=self.sources,
            credits=credits,
        )
        return release(self.frames_THWC, self.decision, path, facts, settings or load_settings())


def generate(
    request: str | Timeline,
    *,
    model: str | Model = "spark",
    seconds: float = 4.0,
    fps: int = 8,
    size: str | tuple[int, int] = (256, 256),
    seed: int | None = None,
    steps: int | None = None,
    guidance: float = GUIDANCE,
    progress: Progress | None = None,
) -> Clip:
    """Make a clip of what a prompt says, or of what a `Timeline` asks.

    Args:
        request: a prompt, or a timeline; a timeline has its own length, fps and size.
        model: a model's name, or a model.
        seconds: length of the clip, more than 0 and at most 60.
        fps: frames a second, 1 to 30. spark learnt to move at 8: other values play its motion faster or slower.
        size: (height, width) in pixels, or text "WIDTHxHEIGHT".
        seed: 0 or more; a random one if None. The same request with the same seed is the same clip.
        steps: solver steps of the first slot, and at most so many of each later one.
        guidance: how closely to follow the prompt; 1 is not at all more than the model does by itself.
        progress: told how far the clip is.

    Raises:
        RequestError: the request cannot be carried out.
        RefusedError: a gate refuses the prompt, or the frames that came out.
        FailureError: the model's weights are missing or damaged.
    """
    report = progress or _silent
    timeline = request if isinstance(request, Timeline) else _timeline(request, seconds, fps, size)
    _check_timeline(timeline)
    sampler, guidance, seed = _sampler(steps), _guidance(guidance), _seed(seed)
    settings = load_settings()
    words = require_words(timeline, settings)

    report("load", 0, 1)
    loaded = load_model(model) if isinstance(model, str) else model
    _check_model(timeline, loaded)
    # Before anything is computed: what may be asked depends on what the model could show.
    admitted = admit(words, settings, photoreal=loaded.photoreal)
    timeline, texts = admitted.timeline, admitted.texts
    sampler = sampler.fitted(loaded.config)
    with torch.no_grad():
        frames_THWC = _make(timeline, loaded, sampler, guidance, seed, report)
        understood = tuple(loaded.text.read(texts))

    report("check", 0, 1)
    decision = judge_output(frames_THWC, timeline.fps, admitted.judgements, admitted.policy, content=admitted.content)
    if not decision.allow:
        raise refusal(decision)
    enter_uses(admitted, decision, loaded.name, settings)
    report("check", 1, 1)
    return Clip(
        frames_THWC,
        timeline.fps,
        decision,
        "\n".join(texts),
        loaded.name,
        loaded.weights_digest,
        seed,
        understood,
        _given(timeline),
        timeline.sources,
    )


def _given(timeline: Timeline) -> tuple[GivenSpan, ...]:
    caps = [1.0] * timeline.num_frames
    for known in timeline.knowns:
        caps[known.start : known.stop] = [known.cap(frame) for frame in range(known.start, known.stop)]
    return given_spans(caps, timeline.fps)


# From what people write to values; each error says the value, the rule and what to do.


def _timeline(prompt: str, seconds: float, fps: int, size: str | tuple[int, int]) -> Timeline:
    if not (math.isfinite(seconds) and 0 < seconds <= MAX_SECONDS):
        raise RequestError(f"seconds is {seconds}; a clip lasts more than 0 and at most {MAX_SECONDS} seconds")
    _check_fps(fps)
    return Timeline.from_text(prompt, num_frames=max(1, round(seconds * fps)), fps=fps, size=parse_size(size))


def parse_size(size: str | tuple[int, int]) -> tuple[int, int]:
    """A size as (height, width), from such a pair or from text that says WIDTHxHEIGHT, as video sizes are written."""
    if not isinstance(size, str):
        if len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size):
            return size[0], size[1]
        raise RequestError(f"size is {size!r}; give (height, width) as two whole numbers, or text such as '256x144'")
    width, _, height = size.lower().strip().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise RequestError(f"size is {size!r}; write WIDTHxHEIGHT in pixels, for example 256x144")
    return int(height), int(width)


def _check_timeline(timeline: Timeline) -> None:
    _check_fps(timeline.fps)
    if timeline.num_frames > MAX_SECONDS * timeline.fps:
        raise RequestError(
            f"{timeline.num_frames} frames at {timeline.fps} a second last longer than {MAX_SECONDS} seconds; "
            "ask for fewer"
        )
    if all(timeline.slot_cap(slot) == 0 for slot in range(timeline.num_slots)):
        raise RequestError(
            "every frame is given and kept: nothing would be generated, and the file would pass real footage off as "
            "made; ask for more frames than are given, or leave some of them out"
        )
    for span in timeline.prompts:
        if not span.text.strip():
            raise RequestError("the prompt is empty; say what the clip shows, for example 'a red sailboat at sunset'")
        words = count_words(span.text)
        if words > MAX_WORDS:
            raise RequestError(f"the prompt has {words} words; at most {MAX_WORDS} are read: shorten it")


def _check_fps(fps: int) -> None:
    if not (isinstance(fps, int) and 1 <= fps <= MAX_FPS):
        raise RequestError(f"fps is {fps}; give a whole number from 1 to {MAX_FPS}")


def _sampler(steps: int | None) -> SamplerConfig:
    default = SamplerConfig()
    if steps is None:
        return default
    if not (isinstance(steps, int) and 1 <= steps <= MAX_STEPS):
        raise RequestError(f"steps is {steps}; give a whole number from 1 to {MAX_STEPS}")
    return replace(default, first_steps=steps, steps=min(default.steps, steps))


def _guidance(guidance: float) -> float:
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise RequestError(f"guidance is {guidance}; give a number from 0 to {MAX_GUIDANCE:g} (1 is none)")
    return guidance


def _seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbits(32)
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise RequestError(f"seed is {seed}; give a whole number from 0 to 2^63 - 1")
    return seed


def _check_model(timeline: Timeline, model: Model) -> None:
    height, width = timeline.size
    least, most = SPARK_SIZES.least, SPARK_SIZES.most
    if not all(least <= side <= most for side in timeline.size):
        near_height, near_width = (min(max(side, least), most) for side in timeline.size)
        raise RequestError(
            f"size {width}x{height} is out of range for {model.name}: each side has {least} to {most} pixels; "
            f"ask for {near_width}x{near_height}"
        )
    missing = timeline.needs - model.capabilities
    if missing:
        can = ", ".join(sorted(model.capabilities)) or "nothing beyond text"
        raise RequestError(
            f"{model.name} was not trained to {' or to '.join(sorted(missing))}; it can: {can}. "
            "Ask for that, or choose a model that was"
        )


# From values to frames.


def _make(
    timeline: Timeline, model: Model, sampler: SamplerConfig, guidance: float, seed: int, report: Progress
) -> NDArray[np.uint8]:
    """All frames of the clip, `[T, H, W, 3]`."""
    grid = SPARK_SIZES.grid(timeline.size)
    conditions = _conditions(timeline, model, grid, seed)
    experts = experts_of(model.transformer, model.scene, model.text.encode([""])[0], guidance)
    watch = _watcher(report, count_steps(experts, conditions, sampler))
    slots = stream_coarse_first(experts, conditions, sampler, watch)
    frames_THWC = np.empty((timeline.num_frames, *timeline.size, 3), np.uint8)
    rows, columns = timeline.crop(grid)
    previous_BCHW: Tensor | None = None
    for slot, latent_BCHW in enumerate(_in_time(slots, timeline.num_slots)):
        video_TCHW = model.autoencoder.decode_slot(latent_BCHW, previous_BCHW)[0][0]
        for position, picture_CHW in timeline.given(slot, grid, sigma_cap=0.0).items():
            video_TCHW[position] = picture_CHW
        in_slot, in_clip = timeline.placement(slot)
        bytes_TCHW = (video_TCHW[in_slot, :, rows, columns] * 255).round().to(torch.uint8)
        frames_THWC[in_clip] = rearrange(bytes_TCHW, "T C H W -> T H W C").numpy()
        previous_BCHW = video_TCHW[None, -1]
    return frames_THWC


def _conditions(timeline: Timeline, model: Model, grid: tuple[int, int], seed: int) -> Conditions:
    """The slots of the clip, and after them a slot for each still that leads it."""
    slots, stills = range(timeline.num_slots), timeline.anchors(grid)
    height, width = (side // SCALE for side in grid)
    noise, history_noise = draw_noise([seed], (model.config.in_channels, len(slots) + len(stills), height, width))
    known_BCFHW = torch.zeros_like(noise)
    caps = [timeline.slot_cap(slot) for slot in slots]
    for slot in slots:
        if caps[slot] < 1:
            known_BCFHW[0, :, slot] = _encode_slot(torch.stack(list(timeline.given(slot, grid).values())))
    for index, still in enumerate(stills, start=len(slots)):
        known_BCFHW[0, :, index] = _encode_slot(still.picture_CHW[None])
    text_PLD = model.text.encode([span.text for span in timeline.prompts])
    prompts = [timeline.prompt_of_slot(slot) for slot in (*slots, *(math.ceil(still.time) for still in stills))]
    text_BFLD = text_PLD[None, prompts]
    return Conditions(
        text_BFLD=text_BFLD,
        time_F=torch.tensor([*slots, *(still.time for still in stills)], dtype=torch.float32),
        cap_F=torch.tensor([*caps, *(0.0 for _ in stills)]),
        known_BCFHW=known_BCFHW,
        noise_BCFHW=noise,
        history_noise_BCFHW=history_noise,
        layout_BSFK=_layout(timeline, model, text_BFLD, grid, seed),
    )


def _layout(timeline: Timeline, model: Model, text_BFLD: Tensor, grid: tuple[int, int], seed: int) -> Tensor | None:
    """Where the subjects are in each slot. Given frames show that themselves: nothing is planned beside them."""
    if model.planner is None:
        return None
    if timeline.knowns:
        return empty_layout(*text_BFLD.shape[:2])
    return lay_out(model.planner, text_BFLD, [seed], grid)


def _encode_slot(video_TCHW: Tensor) -> Tensor:
    """The latent `[C, H, W]` of one slot: of four frames, or of a single one."""
    lead = video_TCHW[:1] if len(video_TCHW) > 1 else video_TCHW[:0]
    return encode(torch.cat((lead, video_TCHW))[None])[0, :, -1]


def _in_time(blocks: Iterator[tuple[tuple[int, ...], Tensor]], num_slots: int) -> Iterator[Tensor]:
    """The latents of the slots of the clip, `[B, C, H, W]` each, in the order of time, as soon as they are there."""
    waiting: dict[int, Tensor] = {}
    turn = 0
    for slots, latent_BCFHW in blocks:
        waiting |= zip(slots, latent_BCFHW.unbind(dim=2), strict=True)
        while turn in waiting and turn < num_slots:
            yield waiting.pop(turn)
            turn += 1


def _watcher(report: Progress, steps: int) -> Watcher:
    done = 0

    def watch(x_BCFHW: Tensor, sigma_F: Tensor, velocity_BCFHW: Tensor) -> None:
        nonlocal done
        done += 1
        report("sample", done, steps, clean_from_velocity(x_BCFHW, velocity_BCFHW, per_slot(sigma_F))[0])

    return watch


class _CallableModule(ModuleType):
    """`kinemark.generate` is this module once anything has imported it, and the function before; both can be called."""

    __call__ = staticmethod(generate)


sys.modules[__name__].__class__ = _CallableModule
