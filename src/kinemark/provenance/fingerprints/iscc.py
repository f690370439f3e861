"""The ISCC Video-Code (ISO 24138:2024): a fingerprint that others can compute, too; C2PA lists it as `io.iscc.v0`.

It is made of MPEG-7 video signatures (ISO/IEC 15938-3/Amd 4) at five frames a second. FFmpeg's filter `signature` makes
those; PyAV's FFmpeg comes without it, so the `ffmpeg` program has to be installed. Where it is not, or lacks the
filter, releases carry no such binding, and everything else works. It only ever gets raw pictures, never a stranger's
file.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import iscc_lib
import numpy as np

from kinemark.provenance.grid import LUMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinemark.data.video import Frames

ISCC_ALGORITHM: Final = "io.iscc.v0"
BITS: Final = 256
MATCH: Final = 40
"""Differing bits, of 256, up to which a code is called that of the same clip: unrelated clips differ in 96 and more."""
_RATE: Final = 5
_SECONDS: Final = 60
_ELEMENTS: Final = 380


def video_code(frames_THWC: Frames, fps: float) -> str | None:
    """The code of a clip, such as "ISCC:KED5...", of 256 bits; None where it cannot be computed here.

    Args:
        frames_THWC: uint8 RGB frames; a few hundred pixels a side are enough.
        fps: frames per second, of these frames.
    """
    program = _ffmpeg()
    if program is None:
        return None
    height, width = (side // 2 * 2 for side in frames_THWC.shape[1:3])
    # Frame by frame: as floats, all of them would take many times the memory of the clip.
    luma = np.stack([(frame[:height, :width] @ LUMA).round().clip(0, 255).astype(np.uint8) for frame in frames_THWC])
    command = [program, "-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}"]
    filters = f"fps={_RATE},format=yuv420p,signature=format=binary:filename=signature"
    command += ["-r", f"{fps:.6f}", "-i", "pipe:0", "-vf", filters, "-f", "null", "-"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(  # noqa: S603  (the program's own path, and numbers)
                command, input=luma.tobytes(), cwd=folder, capture_output=True, check=True, timeout=_SECONDS
            )
            signatures = _read((Path(folder) / "signature").read_bytes())
        except (OSError, subprocess.SubprocessError, ValueError):
            return None
    return str(iscc_lib.gen_video_code_v0(signatures.tolist(), BITS)["iscc"])


def distance(one: str, other: str) -> int | None:
    """Differing bits of two codes of equal length; None where one of them is no such code."""
    first, second = bits_of(one), bits_of(other)
    if first is None or second is None or len(first) != len(second):
        return None
    return (int.from_bytes(first) ^ int.from_bytes(second)).bit_count()


def bits_of(code: str) -> bytes | None:
    """The bits of a Video-Code; None where the text is none."""
    try:
        main, sub, _, _, bits = iscc_lib.iscc_decode(code)
    except ValueError:
        return None
    return bytes(bits) if (main, sub) == (iscc_lib.MT.CONTENT, iscc_lib.ST.VIDEO) else None


@cache
def _ffmpeg() -> str | None:
    """The `ffmpeg` program, if it is there and has the filter."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        listed = subprocess.run(  # noqa: S603
            [program, "-hide_banner", "-filters"], capture_output=True, text=True, check=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return program if " signature " in listed.stdout else None


def _read(binary: bytes) -> NDArray[np.uint8]:
    """The frame signatures [frames, 380], each element 0, 1 or 2, of a binary MPEG-7 video signature.

    Raises:
        ValueError: it ends early.
    """
    bits = np.unpackbits(np.frombuffer(binary, np.uint8))

    def number(start: int, width: int) -> int:
        if start + width > len(bits):
            raise ValueError("the signature ends early")
        return int("".join(map(str, bits[start : start + width])), 2)

    frames, segments = number(129, 32), number(242, 32)
    start = 274 + segments * (4 * 32 + 1 + 5 * 243)
    compressed = number(start, 1)
    # A frame: a flag (1 bit), its media time (32), confidence (8), 5 words of 8 bits, 76 bytes of 5 elements each.
    size = 1 + 32 + 8 + 5 * 8 + 76 * 8
    start += 1
    if compressed or start + frames * size > len(bits):
        raise ValueError("the signature ends early")
    table = bits[start : start + frames * size].reshape(frames, size)[:, 81:]
    values = np.packbits(table.reshape(frames, 76, 8), axis=2)[..., 0].astype(np.int64)
    digits = np.stack([values // 3**power % 3 for power in (4, 3, 2, 1, 0)], axis=2)
    return digits.reshape(frames, _ELEMENTS).astype(np.uint8)
