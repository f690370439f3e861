"""Faces in pictures: found, never recognised. Who a face belongs to is not asked here; that it is one is enough.

The detector that ships is OpenCV's boosted cascade for frontal faces (Viola and Jones 2001; Lienhart and Maydt 2002):
small, deterministic and without a download. It takes folds and windows for faces now and then, but not for long at one
place: so a face in a video counts once it holds for three samples that follow each other.

Shapes: T frames, H height, W width, C colour channels (RGB, uint8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from kinemark.errors import FailureError

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

Detector = Callable[[np.ndarray], Sequence[Box]]
"""Finds the faces of one picture [H, W, C]. A stronger one takes the place of `frontal_faces`."""

#: A face counts when it stays for so many samples.
HOLDS: Final = 3
#: Samples a second: of the four frames of a slot at least two are seen at 24 a second, and all at 16.
SAMPLES: Final = 16.0
#: Pictures are looked at with about so many pixels.
_PIXELS: Final = 640 * 360
_CASCADE: Final = "haarcascade_frontalface_alt2.xml"
_STEP: Final = 1.1
_NEIGHBOURS: Final = 4
_LEAST: Final = 16
_OVERLAP: Final = 0.3


@dataclass(frozen=True, slots=True)
class Face:
    """A face that held: from which frame on, until before which, and where it was first."""

    start: int
    stop: int
    box: Box


def faces(frames_THWC: np.ndarray, fps: float, detect: Detector | None = None) -> list[Face]:
    """The faces of a clip that hold for `HOLDS` samples; of fewer frames than that, those that are in all of them.

    Args:
        frames_THWC: uint8 RGB, at least one frame.
        fps: frames a second.
        detect: finds the faces of a picture; the frontal cascade, if None.

    Raises:
        FailureError: OpenCV has lost its cascade.
    """
    find = detect or frontal_faces
    step = max(1, round(fps / SAMPLES))
    sampled = range(0, len(frames_THWC), step)
    need = min(HOLDS, len(sampled))
    held: list[Face] = []
    open_: list[tuple[Face, Box]] = []
    for frame in sampled:
        now = []
        for box in find(frames_THWC[frame]):
            before = next((face for face, last in open_ if _overlap(last, box) >= _OVERLAP), None)
            start, first = (before.start, before.box) if before else (frame, box)
            now.append((Face(start, min(frame + step, len(frames_THWC)), first), box))
        held += [face for face, last in open_ if not any(_overlap(last, box) >= _OVERLAP for _, box in now)]
        open_ = now
    held += [face for face, _ in open_]
    return [face for face in held if -(-(face.stop - face.start) // step) >= need]


def frontal_faces(frame_HWC: np.ndarray) -> list[Box]:
    """Faces that look into the camera, by OpenCV's cascade.

    Raises:
        FailureError: OpenCV has lost its cascade.
    """
    height, width = frame_HWC.shape[:2]
    scale = min(1.0, (_PIXELS / (height * width)) ** 0.5)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    least = max(20, size[1] // _LEAST)
    found = _cascade().detectMultiScale(cv2.equalizeHist(small), _STEP, _NEIGHBOURS, minSize=(least, least))
    return [tuple(round(value / scale) for value in box) for box in np.asarray(found).reshape(-1, 4).tolist()]


@cache
def _cascade() -> cv2.CascadeClassifier:
    cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / _CASCADE))
    if cascade.empty():
        raise FailureError(f"OpenCV {cv2.__version__} came without {_CASCADE}; install opencv-python-headless below 5")
    return cascade


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    across = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    down = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    common = max(0, across) * max(0, down)
    return common / (one[2] * one[3] + other[2] * other[3] - common)
