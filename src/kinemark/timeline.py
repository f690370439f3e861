"""What is asked of a model: which frames are given, what the prompts say and when; and all arithmetic of frames.

A *frame* is a picture of the clip. A *slot* is a latent frame: the unit of noise level and of the cache. The grid of
slots begins with one frame, and every later slot holds four:

    frame   0 | 1 2 3 4 | 5 6 7 8 | ...
    slot    0 |    1    |    2    | ...

What is asked for need not fit this grid. It is put on the grid with up to three frames before it (`Timeline.lead`,
chosen so that given videos begin and end between slots, where that is possible), some after it and a border around it;
frames beyond the ends repeat the last one, the border mirrors the picture, and all of it is trimmed away again. A slot
of which only some frames are given is made anew, led by stills of the given frames at their own times (`anchors`).

Shape suffixes: T frames, C channels, H W size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from kinemark.errors import RequestError
from kinemark.sizes import mirrored_to

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

#: Frames in every slot but the first, which holds one.
FRAMES_PER_SLOT: Final = 4
#: A blend is never left entirely to the model, so that both sources stay recognisable.
BLEND_CAP: Final = 0.85
#: How much a remix may change, as the noise level at which the given video joins.
STRENGTHS: Final = {"subtle": 0.5, "mild": 0.7, "strong": 0.85}


class Capability(StrEnum):
    """What a timeline can need of a model beyond text; a model says which of these it was trained for."""

    HISTORY = "continue frames that are given"
    FUTURE = "arrive at frames that are given"
    STILL = "pass through a given frame within a slot"
    LEVELS = "change given frames in part"
    PROMPTS = "follow several prompts in turn"


def slot_count(num_frames: int) -> int:
    """Slots that hold `num_frames` frames: F = 1 + ceil((T - 1) / 4)."""
    return slot_of_frame(num_frames - 1) + 1


def slot_of_frame(frame: int) -> int:
    """The slot that holds a frame of the grid."""
    return -(-frame // FRAMES_PER_SLOT)


def frames_of_slot(slot: int) -> range:
    """The frames of the grid that a slot holds: one for slot 0, four for every other."""
    return range(max(0, FRAMES_PER_SLOT * (slot - 1) + 1), FRAMES_PER_SLOT * slot + 1)


#: The longest clip, in seconds.
MAX_SECONDS: Final = 60
#: Frames a second that spark learns from.
SPARK_FPS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Given frames.

    Attributes:
        video_TCHW: the given pixels, RGB in [0, 1], at the size of the clip; a still picture is T = 1.
        start: the frame of the clip at which they begin.
        sigma_cap: the noise level at which they join, one for all frames or one for each: 0 keeps them exactly,
            1 ignores them.
    """

    video_TCHW: Tensor
    start: int = 0
    sigma_cap: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        shape = tuple(self.video_TCHW.shape)
        if len(shape) != 4 or shape[0] < 1 or shape[1] != 3 or not self.video_TCHW.is_floating_point():
            raise RequestError(
                f"given frames have shape {shape} and type {self.video_TCHW.dtype}; give [frames, 3, height, width] "
                "as floating point numbers in 0..1 (kinemark.timeline.video_from_frames makes them from RGB bytes)"
            )
        caps = self.sigma_cap if isinstance(self.sigma_cap, tuple) else (self.sigma_cap,)
        if len(caps) not in (1, shape[0]) or not all(0.0 <= cap <= 1.0 for cap in caps):
            raise RequestError(f"sigma_cap is {self.sigma_cap}; give one number in 0..1, or one for each frame")

    @property
    def stop(self) -> int:
        """The first frame of the clip after the given ones."""
        return self.start + int(self.video_TCHW.shape[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.video_TCHW.shape[2]), int(self.video_TCHW.shape[3])

    def frame(self, frame: int) -> Tensor:
        """The picture `[C, H, W]` of a frame of the clip."""
        return self.video_TCHW[frame - self.start]

    def cap(self, frame: int) -> float:
        """The noise level at which a frame of the clip joins."""
        return self.sigma_cap[frame - self.start] if isinstance(self.sigma_cap, tuple) else self.sigma_cap


def video_from_frames(frames_THWC: object) -> Tensor:
    """RGB bytes `[T, H, W, 3]`, such as `Clip.frames_THWC`, as the pixels that `Known` takes. Exactly reversible."""
    # Imported here, so that a request can be parsed without them.
    import torch
    from einops import rearrange

    frames = torch.as_tensor(frames_THWC)
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise RequestError(
            f"frames have shape {tuple(frames.shape)} and type {frames.dtype}; give RGB bytes [T, height, width, 3]"
        )
    return rearrange(frames.float() / 255, "T H W C -> T C H W")


@dataclass(frozen=True, slots=True)
class PromptSpan:
    """What the clip shows from frame `start` on, until the next span begins."""

    text: str
    start: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Card:
    """One card of a storyboard: from frame `start` on the clip does what `text` says, and shows `video_TCHW` there."""

    start: int
    text: str = ""
    video_TCHW: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """Frames `start` to `stop` of a source, kept from frame `at` of the new clip on."""

    start: int
    stop: int
    at: int


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """A still that leads the clip at a time of its own, in slots; it is not itself a slot of the clip."""

    time: float
    picture_CHW: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A request: `num_frames` frames at `fps` and `size` (height, width), what is given and the prompts in order.

    Every verb is a constructor, and none leaves another trace than the frames it gives and their noise levels.
    """

    num_frames: int
    fps: int
    size: tuple[int, int]
    knowns: tuple[Known, ...]
    prompts: tuple[PromptSpan, ...]
    sources: tuple[Path, ...] = ()
    negative_prompt: str = ""
    #: Frames of the grid before the first frame of the clip.
    lead: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise RequestError(f"a clip has at least one frame, not {self.num_frames}; ask for a longer one")
        starts = [span.start for span in self.prompts]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= self.num_frames:
            raise RequestError(
                f"prompts begin at frames {starts} of {self.num_frames}; the first begins at frame 0, "
                "each other one later than the one before it, and all of them within the clip"
            )
        free = 0
        for known in sorted(self.knowns, key=lambda known: known.start):
            if known.start < free or known.stop > self.num_frames:
                raise RequestError(
                    f"given frames {known.start} to {known.stop - 1} overlap others or leave the clip of "
                    f"{self.num_frames} frames; move them or make the clip longer"
                )
            if known.size != self.size:
                raise RequestError(
                    f"given frames are {known.size[1]}x{known.size[0]} in a clip of {self.size[1]}x{self.size[0]}; "
                    "resize them, or ask for their size"
                )
            free = known.stop
        object.__setattr__(self, "lead", min(range(FRAMES_PER_SLOT), key=self._slots_cut))

    # The verbs.

    @classmethod
    def from_text(cls, prompt: str, *, num_frames: int, fps: int, size: tuple[int, int]) -> Timeline:
        """Text to video: nothing is given."""
        return cls(num_frames, fps, size, (), (PromptSpan(prompt),))

    @classmethod
    def image(cls, prompt: str, *, size: tuple[int, int]) -> Timeline:
        """Text to a still picture: a clip of one frame."""
        return cls.from_text(prompt, num_frames=1, fps=1, size=size)

    @classmethod
    def from_image(cls, image_CHW: Tensor, prompt: str, *, num_frames: int, fps: int) -> Timeline:
        """Animate a picture: frame 0 is given."""
        return cls.extend(image_CHW[None], prompt, after=num_frames - 1, fps=fps)

    @classmethod
    def extend(cls, video_TCHW: Tensor, prompt: str, *, before: int = 0, after: int = 0, fps: int) -> Timeline:
        """Continue a video by `after` frames, and make up the `before` frames that led to it."""
        known = Known(video_TCHW, before)
        return cls(known.stop + after, fps, known.size, (known,), (PromptSpan(prompt),))

    @classmethod
    def connect(
        cls, first_TCHW: Tensor, second_TCHW: Tensor, prompt: str, *, then: str = "", gap: int, fps: int
    ) -> Timeline:
        """Lead from one video to another through `gap` frames; from their middle on the prompt is `then`, if given."""
        first = Known(first_TCHW)
        second = Known(second_TCHW, first.stop + gap)
        spans = _in_turn(prompt, then, first.stop + gap // 2)
        return cls(second.stop, fps, first.size, (first, second), spans)

    @classmethod
    def loop(cls, video_TCHW: Tensor, prompt: str, *, seam: int, fps: int) -> Timeline:
        """Make a video endless by a seam of `seam` frames from its end to its beginning.

        The clip begins in the middle of the video, so that its own end meets its own beginning as they always did.
        """
        middle = int(video_TCHW.shape[0]) // 2
        return cls.connect(video_TCHW[middle:], video_TCHW[:middle], prompt, gap=seam, fps=fps)

    @classmethod
    def blend(
        cls,
        first_TCHW: Tensor,
        second_TCHW: Tensor,
        prompt: str,
        *,
        then: str = "",
        curve: Sequence[float] | None = None,
        fps: int,
    ) -> Timeline:
        """Blend two videos of equal length along `curve`, the share of the first in each frame (falling, by default).

        Where the shares are equal the model is freest; where one source has all of a frame, the frame is kept. From
        where the second has the larger share the prompt is `then`, if it is given.
        """
        length = int(first_TCHW.shape[0])
        shares = tuple(curve) if curve is not None else tuple(1 - t / max(1, length - 1) for t in range(length))
        if first_TCHW.shape != second_TCHW.shape or len(shares) != length or not all(0 <= c <= 1 for c in shares):
            raise RequestError(
                f"cannot blend {tuple(first_TCHW.shape)} and {tuple(second_TCHW.shape)} along {len(shares)} shares; "
                "give two videos of one shape, and a share of the first in 0..1 for each frame"
            )
        share_T111 = first_TCHW.new_tensor(shares)[:, None, None, None]
        mixed_TCHW = share_T111 * first_TCHW + (1 - share_T111) * second_TCHW
        known = Known(mixed_TCHW, 0, tuple(min(BLEND_CAP, 1 - abs(2 * share - 1)) for share in shares))
        turn = next((t for t, share in enumerate(shares) if t and share < 0.5), length)
        return cls(length, fps, known.size, (known,), _in_turn(prompt, then, turn if turn < length else 0))

    @classmethod
    def remix(cls, video_TCHW: Tensor, prompt: str, *, strength: str | float = "mild", fps: int) -> Timeline:
        """Change a video into what the prompt says: all frames join at a noise level, named or given in 0..1."""
        cap = STRENGTHS.get(strength) if isinstance(strength, str) else strength
        if cap is None:
            raise RequestError(f"strength is {strength!r}; use {', '.join(STRENGTHS)}, or a number in 0..1")
        known = Known(video_TCHW, 0, cap)
        return cls(known.stop, fps, known.size, (known,), (PromptSpan(prompt),))

    @classmethod
    def recut(cls, video_TCHW: Tensor, prompt: str, *, kept: Sequence[Kept], num_frames: int, fps: int) -> Timeline:
        """Keep some spans of a video, perhaps at other times, and make up what lies between them."""
        length = int(video_TCHW.shape[0])
        for span in kept:
            if not 0 <= span.start < span.stop <= length:
                raise RequestError(f"kept frames {span.start} to {span.stop} are not within the {length} of the video")
        knowns = tuple(Known(video_TCHW[span.start : span.stop], span.at) for span in kept)
        size = int(video_TCHW.shape[2]), int(video_TCHW.shape[3])
        return cls(num_frames, fps, size, knowns, (PromptSpan(prompt),))

    @classmethod
    def storyboard(cls, cards: Sequence[Card], *, num_frames: int, fps: int, size: tuple[int, int]) -> Timeline:
        """Pictures, clips and prompts, each from its frame on. Spacing is timing: a wide gap leaves room to invent."""
        ordered = sorted(cards, key=lambda card: card.start)
        knowns = tuple(Known(card.video_TCHW, card.start) for card in ordered if card.video_TCHW is not None)
        spoken = [card for card in ordered if card.text]
        prompts = tuple(PromptSpan(card.text, card.start if i else 0) for i, card in enumerate(spoken))
        return cls(num_frames, fps, size, knowns, prompts)

    # The grid.

    @property
    def caps(self) -> list[float]:
        """The noise level at which each frame of the clip joins: 0 if it is kept exactly, 1 if it is not given."""
        caps = [1.0] * self.num_frames
        for known in self.knowns:
            caps[known.start : known.stop] = [known.cap(frame) for frame in range(known.start, known.stop)]
        return caps

    @property
    def num_slots(self) -> int:
        """Slots of the grid that hold the clip."""
        return slot_count(self.lead + self.num_frames)

    def prompt_of_slot(self, slot: int) -> int:
        """Index of the prompt that a slot follows: the one that holds at the slot's last frame."""
        frame = self._clip_frames(slot, self.lead)[-1]
        return sum(span.start <= frame for span in self.prompts) - 1

    def placement(self, slot: int) -> tuple[slice, slice]:
        """Which frames of a slot belong to the clip, and where: (slice of the slot, slice of the clip)."""
        frames = frames_of_slot(slot)
        start = frames.start - self.lead
        first, last = (min(max(edge - start, 0), len(frames)) for edge in (0, self.num_frames))
        return slice(first, last), slice(max(0, start + first), max(0, start + last))

    def crop(self, grid: tuple[int, int]) -> tuple[slice, slice]:
        """Rows and columns of a picture at the size of the grid that belong to the clip: its centre."""
        top, left = (grid[0] - self.size[0]) // 2, (grid[1] - self.size[1]) // 2
        return slice(top, top + self.size[0]), slice(left, left + self.size[1])

    def slot_cap(self, slot: int) -> float:
        """The noise level at which a slot joins: 0 if it is given exactly, 1 if it is made from noise alone."""
        return max(known.cap(frame) if known else 1.0 for frame, known in self._held(slot, self.lead).items())

    def given(self, slot: int, grid: tuple[int, int], sigma_cap: float = 1.0) -> dict[int, Tensor]:
        """The given frames of a slot that join at `sigma_cap` or below (at 0: those that are kept exactly).

        {position in the slot: picture `[C, H, W]` at the size (height, width) of the grid}; complete if `slot_cap` < 1.
        """
        held = self._held(slot, self.lead).items()
        pictures = {f: mirrored_to(grid, known.frame(f)) for f, known in held if known and known.cap(f) <= sigma_cap}
        shown = enumerate(self._clip_frames(slot, self.lead))
        return {position: pictures[frame] for position, frame in shown if frame in pictures}

    def anchors(self, grid: tuple[int, int]) -> tuple[Anchor, ...]:
        """Stills of the kept frames that border on a gap within their slot, at the size (height, width) of the grid."""
        found = []
        for slot in range(self.num_slots):
            held = self._held(slot, self.lead)
            for frame, known in held.items():
                at_gap = any(held.get(beside, known) is None for beside in (frame - 1, frame + 1))
                if known and at_gap and known.cap(frame) == 0:
                    found.append(Anchor((frame + self.lead) / FRAMES_PER_SLOT, mirrored_to(grid, known.frame(frame))))
        return tuple(found)

    @property
    def needs(self) -> frozenset[Capability]:
        """What a model must have been trained for to make this clip."""
        caps = [self.slot_cap(slot) for slot in range(self.num_slots)]
        made = [slot for slot, cap in enumerate(caps) if cap > 0]
        kept = [slot for slot, cap in enumerate(caps) if cap == 0]
        needs = {
            Capability.HISTORY: bool(made and kept and kept[0] < made[-1]),
            Capability.FUTURE: bool(made and kept and made[0] < kept[-1]),
            Capability.STILL: any(map(self._is_cut, range(self.num_slots))),
            Capability.LEVELS: any(0 < cap < 1 for cap in caps),
            Capability.PROMPTS: len(self.prompts) > 1,
        }
        return frozenset(capability for capability, needed in needs.items() if needed)

    def _clip_frames(self, slot: int, lead: int) -> list[int]:
        """The frames of the clip that a slot shows; beyond the ends of the clip, its first or last frame again."""
        return [min(max(frame - lead, 0), self.num_frames - 1) for frame in frames_of_slot(slot)]

    def _held(self, slot: int, lead: int) -> dict[int, Known | None]:
        """The frames of the clip that a slot shows, each with what is given there."""
        return {
            frame: next((known for known in self.knowns if known.start <= frame < known.stop), None)
            for frame in self._clip_frames(slot, lead)
        }

    def _is_cut(self, slot: int, lead: int | None = None) -> bool:
        """Whether only some of a slot's frames are given."""
        held = self._held(slot, self.lead if lead is None else lead).values()
        return None in held and any(held)

    def _slots_cut(self, lead: int) -> int:
        return sum(self._is_cut(slot, lead) for slot in range(slot_count(lead + self.num_frames)))


def _in_turn(prompt: str, then: str, start: int) -> tuple[PromptSpan, ...]:
    """A prompt, and from frame `start` on another one, if there is one."""
    return (PromptSpan(prompt), PromptSpan(then, start)) if then and start else (PromptSpan(prompt),)
