"""How long marking, encoding, signing and recording take for one clip; `--json` prints one flat object.

    python benchmarks/release.py --json --total 12.5

`--total` is the time of a whole `kinemark generate`, in seconds; the share of the release is printed then.
Seconds of processor time (one core) and of wall time are given apart: the first is what the work costs, the second what
a person waits on this machine as busy as it is now.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinemark.data.encode import encode_mp4
from kinemark.data.video import read_video
from kinemark.provenance.detect import verify
from kinemark.provenance.fingerprints.fingerprint import fingerprint
from kinemark.provenance.grid import GRID
from kinemark.provenance.marks import watermark
from kinemark.provenance.records.ledger import Ledger
from kinemark.provenance.release import ReleaseFacts, release
from kinemark.provenance.signing.claims import Claim, sign
from kinemark.provenance.signing.credentials import read_credentials
from kinemark.provenance.signing.keys import require_keys
from kinemark.safety.decision import REQUIRED_GATES, Decision, Judgement, digest_frames
from kinemark.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinemark.data.video import Frames

FPS = 8.0
MODEL, DIGEST = "benchmark", "0" * 64


def moving_texture(frames: int, height: int, width: int) -> Frames:
    """A pan over a 1/f texture, which costs the encoder more than the flat worlds of spark do."""
    noise = np.fft.rfft2(np.random.default_rng(0).standard_normal((height + 2 * frames, width + frames)))
    fall = np.hypot(np.fft.fftfreq(height + 2 * frames)[:, None], np.fft.rfftfreq(width + frames)[None])
    plane = np.fft.irfft2(noise / np.maximum(fall, 0.003), s=(height + 2 * frames, width + frames))
    plane = np.clip(plane / plane.std() * 40 + 120, 0, 255)
    grey = np.stack([plane[2 * t : 2 * t + height, t : t + width] for t in range(frames)])
    return np.repeat(grey[..., None], 3, axis=-1).round().astype(np.uint8)


def timed(work: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Smallest processor and wall seconds over the repeats; `work` gets the number of the repeat."""
    processor, wall = [], []
    for i in range(repeats):
        start, wall_start = time.process_time(), time.perf_counter()
        work(i)
        processor.append(time.process_time() - start)
        wall.append(time.perf_counter() - wall_start)
    return min(processor), min(wall)


def measure(frames_THWC: Frames, repeats: int, folder: Path) -> dict[str, float]:
    """Time every step by itself, then a whole release and a whole verification."""
    settings = Settings(home=folder / "home")
    keys = require_keys(settings.keys_dir)
    seconds = len(frames_THWC) / FPS
    claim = Claim("00000001", dt.datetime.now(dt.UTC), seconds, MODEL, DIGEST)
    judgements = tuple(Judgement(gate, "output", "allow", None, "benchmark", "measured") for gate in REQUIRED_GATES)
    decision = Decision("1", DIGEST, digest_frames(frames_THWC), judgements)
    facts = ReleaseFacts(FPS, MODEL, DIGEST)
    marked, encoded = watermark.embed(frames_THWC, 1, keys.watermark_key), folder / "encoded.mp4"
    encode_mp4(marked, FPS, encoded)
    with Ledger.open(settings.ledger_path, create=True) as ledger:
        steps: dict[str, Callable[[int], object]] = {
            "mark": lambda _: watermark.embed(frames_THWC, 1, keys.watermark_key),
            "encode": lambda _: encode_mp4(marked, FPS, encoded),
            "fingerprint": lambda _: fingerprint(read_video(encoded, size=(GRID, GRID)).frames_THWC),
            "sign": lambda i: sign(encoded, folder / f"signed{i}.mp4", claim, keys),
            "read_back": lambda i: read_credentials(folder / f"signed{i}.mp4", keys.anchors),
            "ledger": lambda i: ledger.append("release", f"{i:08x}", {}, fingerprint=bytes(32)),
            "release": lambda i: release(frames_THWC, decision, folder / f"clip{i}.mp4", facts, settings),
            "verify": lambda i: verify(folder / f"clip{i}.mp4", settings),
        }
        result = {}
        for name, work in steps.items():
            result[f"{name}_cpu_s"], result[f"{name}_wall_s"] = (round(x, 4) for x in timed(work, repeats))
    return result


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--total", type=float, help="seconds of a whole generate, for the share")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    frames_THWC = moving_texture(options.frames, *options.size)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(frames_THWC, options.repeats, Path(folder))
    result |= {"frames": options.frames, "height": options.size[0], "width": options.size[1]}
    if options.total:
        result["share_of_total"] = round(result["release_wall_s"] / options.total, 4)
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:20s} {value}")


if __name__ == "__main__":
    main()
