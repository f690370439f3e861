"""The one path from a request to a clip: gates, text, given frames, sampling, decoding, gates again.

Everything that makes video calls `begin`, by itself or through `generate`; everything that writes one calls `Clip.save`
or `Take.save`, which go through `provenance.release`.

Shape suffixes: C channels, F slots, H W size of latents.
"""

from __future__ import annotations

import math
import secrets
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Final, Protocol

from kinemark.admission import admit, enter_uses, require_words
from kinemark.catalogue import Entry, find_model
from kinemark.clips import Clip, Take
from kinemark.errors import RequestError
from kinemark.provenance.signing.given import given_spans
from kinemark.rollout import conditions_of, roll, scaled
from kinemark.safety.gates import BlockGate
from kinemark.sampling.flow import clean_from_velocity, per_slot
from kinemark.sampling.sides import count_all_steps, sides
from kinemark.sampling.streaming import with_steps
from kinemark.settings import load_settings
from kinemark.timeline import MAX_SECONDS, Timeline
from kinemark.together import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from kinemark.assistants import Expand
    from kinemark.data.video import Frames
    from kinemark.engine import Model
    from kinemark.sampling.conditions import Key
    from kinemark.settings import Settings
    from kinemark.sizes import Target

MAX_FPS: Final = 30
MAX_GUIDANCE: Final = 20.0


class Progress(Protocol):
    """Told how far a clip is."""

    def __call__(self, stage: str, step: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:
        """A stage ("load", "sample") is at `step` of `total`.

        While it samples, `preview` gives small frames `[T, 3, H, W]` of what the slots in work become.
        """


class Finished(Protocol):
    """Blocks that were finished in an attempt that did not come to its end, which is now made once more."""

    def take(self, key: Key) -> Tensor | None:
        """The latents of a block `[B, C, F, H, W]`; None if it was not finished."""

    def keep(self, key: Key, latent_BCFHW: Tensor) -> None:
        """Told that a block is finished."""


def _silent(stage: str, step: int, total: int, preview: Callable[[], Tensor] | None = None) -> None:
    """The `Progress` of whoever does not want to know."""


def generate(
    request: str | Timeline,
    *,
    model: str | Model = "spark",
    seconds: float = 4.0,
    fps: int | None = None,
    size: str | tuple[int, int] | None = None,
    seed: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    progress: Progress | None = None,
    expand: Expand | None = None,
) -> Clip:
    """Make a clip of what a prompt says, or of what a `Timeline` asks.

    Args:
        request: a prompt, or a timeline; a timeline has its own length, fps and size.
        model: a model's name, or a model.
        seconds: length of the clip, more than 0 and at most 60.
        fps: frames a second, 1 to 30; by default those that the model learnt to move at (spark: 8). Others play its
            motion faster or slower.
        size: (height, width) in pixels, or text "WIDTHxHEIGHT"; the model's if None (spark: 256x256).
        seed: 0 or more; a random one if None. The same request with the same seed is the same clip.
        steps: solver steps of the first slot, and at most so many of each later one; the model's if None.
        guidance: how closely to follow the prompt; 1 is not at all more than the model does by itself. The model's if
            None.
        progress: told how far the clip is.
        expand: says each prompt at length before it is made (`expanding.in_sparks_words`); the result is judged again.

    Raises:
        RequestError: the request cannot be carried out.
        RefusedError: a gate refuses the prompt, or the frames that came out.
        FailureError: the model's weights are missing or damaged.
    """
    return begin(
        request,
        model=model,
        seconds=seconds,
        fps=fps,
        size=size,
        seed=seed,
        steps=steps,
        guidance=guidance,
        progress=progress,
        expand=expand,
    ).clip()


def begin(
    request: str | Timeline,
    *,
    model: str | Model = "spark",
    seconds: float = 4.0,
    fps: int | None = None,
    size: str | tuple[int, int] | None = None,
    seed: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    progress: Progress | None = None,
    expand: Expand | None = None,
    delivered: tuple[int, int] | None = None,
    finished: Finished | None = None,
    settings: Settings | None = None,
) -> Take:
    """Do everything that comes before the first frame, and return the clip in the making; arguments as in `generate`.

    With `delivered`, a height and a width, frames are scaled to that before they are judged. Blocks that `finished` has
    are not made again. `settings` are those of the installation whose policy judges; by default the environment's.

    Raises:
        RequestError: the request cannot be carried out.
        RefusedError: a gate refuses what is asked or given.
        FailureError: the model's weights are missing or damaged.
    """
    report = progress or _silent
    entry = find_model(model) if isinstance(model, str) else Entry(model.target, lambda: model)
    fps = entry.target.fps if fps is None else fps
    timeline = request if isinstance(request, Timeline) else _timeline(request, seconds, fps, size or entry.target.size)
    _check_timeline(timeline)
    check_target(timeline, entry.target, model if isinstance(model, str) else model.name)
    together = join()
    seed = together.agreed(_seed(seed))
    settings = settings or load_settings()
    words = require_words(timeline, settings)
    if expand:
        # What a language model made of an allowed prompt is a prompt like any other.
        spans = tuple(
            replace(span, text=together.agreed(expand(text)))
            for span, text in zip(timeline.prompts, words.texts, strict=True)
        )
        timeline = replace(words.timeline, prompts=spans)
        _check_timeline(timeline)
        words = require_words(timeline, settings)

    report("load", 0, 1)
    loaded = entry.load()
    _check_model(timeline, loaded)
    # Before anything is computed: what may be asked depends on what the model could show.
    admitted = admit(words, settings, photoreal=loaded.photoreal)
    timeline = admitted.timeline
    sampler, guidance = with_steps(loaded.sampler, steps), _guidance(loaded.guidance, guidance)
    _check_guided(timeline, loaded.name, guidance)
    if sampler.block_slots is None:  # others take few steps, and none that could be left out
        sampler = replace(sampler, reuse=settings.reuse)
    conditions = conditions_of(timeline, loaded, seed)
    # After the text was read: what reads it is large in some models, and is let go before.
    experts = loaded.experts(guidance, conditions, timeline.negative_prompt)
    parts = sides(conditions, sampler, timeline.num_slots)
    taken = _Steps(report, loaded, count_all_steps(experts, conditions, sampler, parts), finished)
    conditions = replace(conditions, recall=taken.recall)
    return Take(
        num_frames=timeline.num_frames,
        fps=timeline.fps,
        size=delivered or timeline.size,
        prompt="\n".join(admitted.texts),
        model=loaded.name,
        weights_digest=loaded.weights_digest,
        seed=seed,
        understood=tuple(loaded.text.read(admitted.texts)),
        given=given_spans(timeline.caps, timeline.fps),
        sources=timeline.sources,
        gate=BlockGate(timeline.fps, admitted.judgements, admitted.policy, admitted.content),
        pieces=_scaled(roll(timeline, loaded, experts, conditions, sampler, taken.watch), timeline.size, delivered),
        finish=lambda decision: enter_uses(admitted, decision, loaded.name, settings),
        elsewhere=loaded.device.type != "cpu",
    )


def _scaled(pieces: Iterator[Frames], size: tuple[int, int], delivered: tuple[int, int] | None) -> Iterator[Frames]:
    """Frames at the size at which they are delivered; kept frames are scaled like made ones."""
    if delivered is None or delivered == size:
        return pieces
    return (scaled(piece, delivered) for piece in pieces)


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
        if not span.text.strip() and not timeline.knowns:
            raise RequestError("the prompt is empty; say what the clip shows, for example 'a red sailboat at sunset'")


def _check_fps(fps: int) -> None:
    if not (isinstance(fps, int) and 1 <= fps <= MAX_FPS):
        raise RequestError(f"fps is {fps}; give a whole number from 1 to {MAX_FPS}")


def _guidance(default: float, guidance: float | None) -> float:
    if guidance is None:
        return default
    if not 0 <= guidance <= MAX_GUIDANCE:
        raise RequestError(f"guidance is {guidance}; give a number from 0 to {MAX_GUIDANCE:g} (1 is none)")
    return guidance


def _seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbits(32)
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise RequestError(f"seed is {seed}; give a whole number from 0 to 2^63 - 1")
    return seed


def check_target(timeline: Timeline, target: Target, name: str) -> None:
    """Make sure that a model makes clips of this size and length.

    Raises:
        RequestError: it does not.
    """
    height, width = timeline.size
    least, most = target.sizes.least, target.sizes.most
    if not all(least <= side <= most for side in timeline.size):
        near_height, near_width = (min(max(side, least), most) for side in timeline.size)
        raise RequestError(
            f"size {width}x{height} is out of range for {name}: each side has {least} to {most} pixels; "
            f"ask for {near_width}x{near_height}"
        )
    if target.frames is not None and timeline.num_frames > target.frames:
        raise RequestError(
            f"{timeline.num_frames} frames are more than {name} was trained to make at once, which is {target.frames} "
            f"({target.frames / target.fps:.1f} s); ask for fewer, or choose one that streams (kinemark models list)"
        )


def _check_model(timeline: Timeline, model: Model) -> None:
    for text in (*(span.text for span in timeline.prompts), timeline.negative_prompt):
        model.text.check(text)
    missing = timeline.needs - model.capabilities
    if missing:
        can = ", ".join(sorted(model.capabilities)) or "nothing beyond text"
        raise RequestError(
            f"{model.name} was not trained to {' or to '.join(sorted(missing))}; it can: {can}. "
            "Ask for that, or choose a model that was"
        )


def _check_guided(timeline: Timeline, name: str, guidance: float) -> None:
    if timeline.negative_prompt and guidance == 1:
        raise RequestError(
            f"{name} is not guided (guidance 1), so that a negative prompt changes nothing; leave it out, or give a "
            "guidance above 1 to a model that was trained for it"
        )


class _Steps:
    """Counts the steps of a clip, those of blocks that were finished before among them, and tells how far it is."""

    def __init__(self, report: Progress, model: Model, steps: int, finished: Finished | None) -> None:
        self._report, self._model, self._steps, self._finished = report, model, steps, finished
        self._done = 0

    def watch(self, x_BCFHW: Tensor, sigma_F: Tensor, velocity_BCFHW: Tensor) -> None:
        """Told of a step: a `Watcher`."""
        self._done += 1
        clean_BCFHW = clean_from_velocity(x_BCFHW, velocity_BCFHW, per_slot(sigma_F))
        preview = partial(self._model.preview, clean_BCFHW[0]) if self._model.preview else None
        self._report("sample", self._done, self._steps, preview)

    def recall(self, key: Key, steps: int, make: Callable[[], Tensor]) -> Tensor:
        """Give a block: a `Recall`."""
        if self._finished is None:
            return make()
        kept_BCFHW = self._finished.take(key)
        if kept_BCFHW is None:
            made_BCFHW = make()
            self._finished.keep(key, made_BCFHW)
            return made_BCFHW
        self._done += steps
        self._report("sample", self._done, self._steps)
        return kept_BCFHW.to(self._model.device)


class _CallableModule(ModuleType):
    """`kinemark.generate` is this module once anything has imported it, and the function before; both can be called."""

    __call__ = staticmethod(generate)


sys.modules[__name__].__class__ = _CallableModule
