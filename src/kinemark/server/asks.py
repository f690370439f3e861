"""What a job asks for, as it lies in the queue: written by the server, and turned into a timeline by a worker.

Each verb is a class with the fields that it needs. Files that were given are named by their role (`jobs.Asset`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from kinemark.conform import Given, frames_in, give_picture, give_video, natural_size, share_at
from kinemark.errors import RequestError
from kinemark.timeline import MAX_SECONDS, Kept, PromptSpan, Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kinemark.sizes import Target

REFERENCE: Final = "input_reference"
SOURCE: Final = "source"
SECOND: Final = "second"


class Scene(BaseModel):
    """A prompt that begins at a second of the clip."""

    model_config = ConfigDict(frozen=True)

    prompt: str = Field(min_length=1, max_length=32_000)
    start: float = Field(ge=0, le=MAX_SECONDS)


class Ask(BaseModel):
    """What every job asks for.

    Attributes:
        prompt: what the clip shows.
        size: height and width of what is delivered.
        negative_prompt: what it is not to show.
        seed, steps, guidance: as in `generate`; None: the model's, or random.
        preview: whether it can be seen while it is made, which takes longer.
    """

    model_config = ConfigDict(frozen=True)

    prompt: str
    size: tuple[int, int]
    negative_prompt: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    preview: bool = False

    def made_at(self, target: Target) -> tuple[int, int]:
        """The size at which a model makes what is delivered at another."""
        return natural_size(self.size, target)

    def then(self, target: Target) -> tuple[PromptSpan, ...]:  # noqa: ARG002  of one prompt there is none
        """The prompts that follow the first one in time."""
        return ()


class Generate(Ask):
    """From a prompt, and from a picture that it begins with if one is given; further prompts may follow in time."""

    verb: Literal["generate"] = "generate"
    seconds: float
    scenes: tuple[Scene, ...] = ()

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model."""
        frames, _ = frames_in(self.seconds, target.fps, "seconds")
        size = self.made_at(target)
        if REFERENCE in files:
            given = give_picture(files[REFERENCE], target, size)
            timeline = Timeline.from_image(given.video_TCHW[0], self.prompt, num_frames=frames, fps=target.fps)
            timeline = replace(timeline, sources=(files[REFERENCE],))
        else:
            timeline = Timeline.from_text(self.prompt, num_frames=frames, fps=target.fps, size=size)
        return replace(timeline, prompts=(*timeline.prompts, *self.then(target)))

    def then(self, target: Target) -> tuple[PromptSpan, ...]:
        """The prompts that follow the first one in time."""
        return tuple(PromptSpan(scene.prompt, round(scene.start * target.fps)) for scene in self.scenes)


class Remix(Ask):
    """A clip with something changed."""

    verb: Literal["remix"] = "remix"
    strength: str | float = "mild"

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model."""
        given = give_video(files[SOURCE], target, self.made_at(target))
        made = Timeline.remix(given.video_TCHW, self.prompt, strength=self.strength, fps=target.fps)
        return replace(made, sources=(files[SOURCE],))


class Extend(Ask):
    """A clip that goes on, or one that is led up to."""

    verb: Literal["extend"] = "extend"
    seconds: float
    before: bool = False

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model."""
        frames, _ = frames_in(self.seconds, target.fps, "seconds")
        given = give_video(files[SOURCE], target, self.made_at(target))
        _require_room(given, frames, target)
        added = {"before": frames} if self.before else {"after": frames}
        made = Timeline.extend(given.video_TCHW, self.prompt, **added, fps=target.fps)
        return replace(made, sources=(files[SOURCE],))


class Connect(Ask):
    """What leads from one clip to another."""

    verb: Literal["connect"] = "connect"
    seconds: float

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model."""
        gap, _ = frames_in(self.seconds, target.fps, "seconds")
        size = self.made_at(target)
        first, second = (give_video(files[role], target, size) for role in (SOURCE, SECOND))
        made = Timeline.connect(
            first.video_TCHW, second.video_TCHW, self.prompt, then=self.prompt, gap=gap, fps=target.fps
        )
        return replace(made, sources=(files[SOURCE], files[SECOND]))


class Loop(Ask):
    """A clip without an end."""

    verb: Literal["loop"] = "loop"
    seconds: float = 1.0

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model."""
        seam, _ = frames_in(self.seconds, target.fps, "seconds")
        given = give_video(files[SOURCE], target, self.made_at(target))
        made = Timeline.loop(given.video_TCHW, self.prompt, seam=seam, fps=target.fps)
        return replace(made, sources=(files[SOURCE],))


class Blend(Ask):
    """Two clips that become one: `curve` is the share of the first over time, each from 0 to 1."""

    verb: Literal["blend"] = "blend"
    curve: tuple[tuple[float, float], ...] = ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0))

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model; of the longer clip nothing is used beyond the length of the other."""
        size = self.made_at(target)
        first, second = (give_video(files[role], target, size) for role in (SOURCE, SECOND))
        frames = min(first.frames, second.frames)
        shares = [share_at(self.curve, t / max(1, frames - 1)) for t in range(frames)]
        from_TCHW, to_TCHW = first.video_TCHW[:frames], second.video_TCHW[:frames]
        made = Timeline.blend(from_TCHW, to_TCHW, self.prompt, then=self.prompt, curve=shares, fps=target.fps)
        return replace(made, sources=(files[SOURCE], files[SECOND]))


class Span(BaseModel):
    """A part of a clip that is kept, in seconds: where it is in the clip, and where it begins afterwards.

    Where nobody says, it stays where it is, moved so that the first part begins the clip.
    """

    model_config = ConfigDict(frozen=True)

    start: float = Field(ge=0, le=MAX_SECONDS)
    end: float = Field(gt=0, le=MAX_SECONDS)
    at: float | None = Field(default=None, ge=0, le=MAX_SECONDS)


class Recut(Ask):
    """A clip of which parts are kept, and the rest is made anew; as long as before unless `seconds` says otherwise."""

    verb: Literal["recut"] = "recut"
    keep: tuple[Span, ...]
    seconds: float | None = None

    def timeline(self, target: Target, files: Mapping[str, Path]) -> Timeline:
        """The timeline for a model."""
        given, fps = give_video(files[SOURCE], target, self.made_at(target)), target.fps
        frames = given.frames if self.seconds is None else frames_in(self.seconds, fps, "seconds")[0]
        first = min(span.start for span in self.keep)
        kept = [
            Kept(
                round(span.start * fps),
                min(given.frames, round(span.end * fps)),
                round((span.start - first if span.at is None else span.at) * fps),
            )
            for span in self.keep
        ]
        made = Timeline.recut(given.video_TCHW, self.prompt, kept=kept, num_frames=frames, fps=fps)
        return replace(made, sources=(files[SOURCE],))


Verb = Generate | Remix | Extend | Connect | Loop | Blend | Recut
_ASK: Final[TypeAdapter[Verb]] = TypeAdapter(Annotated[Verb, Field(discriminator="verb")])


def read_ask(asked: Mapping[str, Any]) -> Verb:
    """What a job asks for.

    Raises:
        pydantic.ValidationError: it was written by another version.
    """
    return _ASK.validate_python(dict(asked))


def _require_room(given: Given, frames: int, target: Target) -> None:
    if given.frames + frames > MAX_SECONDS * target.fps:
        held = given.frames / target.fps
        raise RequestError(
            f"the clip has {held:.1f} s, and with {frames / target.fps:.1f} s more it is longer than {MAX_SECONDS} s; "
            "ask for less"
        )
