"""What a detector and a fingerprint look at: a file's pictures at one size, evenly thinned, however long it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kinemark.data.video import media_kind, read_image, read_video
from kinemark.provenance.fingerprints.fingerprint import Fingerprint, fingerprint
from kinemark.provenance.grid import GRID

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.data.video import Frames

READ_FRAMES = 256
"""Most frames that are looked at."""


@dataclass(frozen=True, eq=False)  # no slots: what it looks like is kept once it was asked for
class Footage:
    """Frames [T, H, W, 3] of about 256 x 256 pixels, their rate after thinning, and whether they are a video."""

    frames: Frames
    fps: float
    is_video: bool

    @classmethod
    def of(cls, path: Path, most: int = READ_FRAMES) -> Footage:
        """Read a video or a picture.

        Args:
            path: the file.
            most: frames that are kept of it, evenly thinned.

        Raises:
            RequestError: the file is missing, empty, damaged, or neither video nor picture.
        """
        if media_kind(path) == "image":
            return cls(read_image(path, size=GRID * GRID)[None], 1.0, is_video=False)
        video = read_video(path, size=GRID * GRID, max_frames=most)
        return cls(video.frames_THWC, video.fps, is_video=True)

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What it looks like."""
        return fingerprint(self.frames)

    def seconds(self, span: tuple[int, int]) -> tuple[float, float]:
        """Frames [start, stop) as seconds."""
        return round(span[0] / self.fps, 2), round(span[1] / self.fps, 2)
