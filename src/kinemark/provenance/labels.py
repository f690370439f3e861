"""The visible label that a person sees, and the tag that a machine reads in the container.

A visible label complements the invisible marks: the European Union asks for machine-readable marks first, China and
India for something that people see. It is drawn inside `release`, after the gates have judged the frames and before the
watermark, so that it is signed with the rest.
"""

from __future__ import annotations

import json
import math
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kinemark.data.video import Frames

    Coverage = NDArray[np.float32]

LEAST_SHARE: Final = 0.05
"""Least height of the letters, as a share of the picture's shortest side (GB 45438-2025)."""
LEAST_SECONDS: Final = 2.0
"""Least duration, from the first frame (GB 45438-2025)."""
AIGC_KEY: Final = "AIGC"
_BOX_OPACITY: Final = 0.65


@dataclass(frozen=True, slots=True)
class Label:
    """What is drawn: text in the lower left corner, from the first frame on.

    Attributes:
        text: what it says, in up to four lines, in the glyphs of the font that ships.
        share: height of its letters as a share of the shortest side.
        seconds: how long it stays; None for the whole clip.
    """

    text: str
    share: float = 0.06
    seconds: float | None = None

    def __post_init__(self) -> None:
        lines = self.text.split("\n")
        if not all(line.strip() for line in lines) or len(lines) > 4 or max(map(len, lines)) > 60:
            raise RequestError(f"the label says {self.text!r}; give one to four lines of 1 to 60 characters")
        if not LEAST_SHARE <= self.share <= 0.3:
            raise RequestError(f"the label's height is {self.share:.0%} of the shortest side; give 5 % to 30 %")
        if self.seconds is not None and self.seconds < LEAST_SECONDS:
            raise RequestError(f"the label lasts {self.seconds} s; give {LEAST_SECONDS:g} s or more")
        missing = sorted({letter for letter in self.text if not letter.isspace() and not _has(letter)})
        if missing:
            raise RequestError(f"the label's font lacks {' '.join(missing)}; scripts/label_font.sh adds glyphs")


def combined(labels: tuple[Label, ...]) -> Label | None:
    """One label that satisfies all: their texts one below the other, the greatest height, the longest duration."""
    if not labels:
        return None
    texts = dict.fromkeys(label.text for label in labels)
    lasting = [label.seconds for label in labels]
    seconds = None if None in lasting else max(second for second in lasting if second is not None)
    return Label("\n".join(texts), max(label.share for label in labels), seconds)


def draw(frames_THWC: Frames, label: Label, fps: float, start: int = 0) -> Frames:
    """A copy of the frames with the label on a dark box; where the picture is narrow its lines are broken.

    Args:
        frames_THWC: uint8 RGB.
        label: what is drawn.
        fps: frames a second.
        start: number of the first of these frames in its clip.

    Raises:
        RequestError: the text does not fit at 5 % of the shortest side.
    """
    height, width = frames_THWC.shape[1:3]
    ink, box = _drawn(label, height, width)
    shown = len(frames_THWC) if label.seconds is None else round(label.seconds * fps + 0.499) - start
    drawn = frames_THWC.copy()
    for frame_HWC in drawn[: max(0, shown)]:
        dark = frame_HWC * (1 - _BOX_OPACITY * box[..., None])
        frame_HWC[:] = np.rint(dark * (1 - ink[..., None]) + 255 * ink[..., None])
    return drawn


def letter_height(label: Label, height: int, width: int) -> int:
    """Rows that the letters of the lowest line of text cover, as drawn on a picture of this size."""
    ink, _ = _drawn(label, height, width)
    inked = np.concatenate([[0], (ink.max(axis=1) > 0.5).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(inked))
    return int((edges[1::2] - edges[0::2]).min())


def aigc_tag(producer: str, id_: str) -> str:
    """The JSON text of GB 45438-2025, annex E, for AI's content: the first writer is producer and propagator."""
    return json.dumps(
        {
            "Label": "1",
            "ContentProducer": producer,
            "ProduceID": id_,
            "ReservedCode1": "",
            "ContentPropagator": producer,
            "PropagateID": id_,
            "ReservedCode2": "",
        },
        separators=(",", ":"),
    )


def _drawn(label: Label, height: int, width: int) -> tuple[Coverage, Coverage]:
    """Coverage of letters and of the box behind them [H, W], in 0..1."""
    measure = ImageDraw.Draw(Image.new("L", (1, 1)))
    for text, share in product(_wrapped(label.text), (label.share, LEAST_SHARE)):
        target = math.ceil(min(height, width) * share)
        font, pad = _font(target), max(2, round(target * 0.4))
        left, top, right, bottom = map(round, measure.multiline_textbbox((0, 0), text, font=font))
        if right - left + 4 * pad <= width and bottom - top + 4 * pad <= height:
            break
    else:
        raise RequestError(f"the label {label.text!r} does not fit a picture of {width}x{height}; shorten it")
    x, y = pad * 2, height - pad * 2 - (bottom - top)
    ink, box = Image.new("L", (width, height)), Image.new("L", (width, height))
    ImageDraw.Draw(ink).multiline_text((x - left, y - top), text, fill=255, font=font)
    edges = (x - pad, y - pad, x + right - left + pad, y + bottom - top + pad)
    ImageDraw.Draw(box).rounded_rectangle(edges, radius=pad, fill=255)
    return np.asarray(ink).astype(np.float32) / np.float32(255), np.asarray(box).astype(np.float32) / np.float32(255)


def _wrapped(text: str) -> Iterator[str]:
    """The text as it is, then broken into ever shorter lines."""
    for width in (60, 24, 16, 12):
        yield "\n".join(textwrap.fill(line, width) for line in text.split("\n"))


@lru_cache(maxsize=32)
def _font(target: int) -> ImageFont.FreeTypeFont:
    """The font at the size at which a capital letter is `target` rows high."""
    for size in range(target, 4 * target):
        font = _loaded(size)
        _, top, _, bottom = font.getbbox("A")
        if bottom - top >= target:
            return font
    raise AssertionError(target)


@lru_cache(maxsize=64)
def _loaded(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(BytesIO((files("kinemark.provenance") / "fonts" / "label.otf").read_bytes()), size)


@lru_cache(maxsize=256)
def _has(letter: str) -> bool:
    """Whether the font has its own shape for a letter, rather than the box that stands for missing ones."""
    mask, missing = (bytes(_loaded(24).getmask(text)) for text in (letter, "\uffff"))
    return mask != missing
