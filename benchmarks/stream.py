"""A clip while it is made: when its first frame is out, how long a minute takes, and how much memory it needs.

    python benchmarks/stream.py --json      # one flat object

Every figure is of a process of its own, from its start to its end, everything included: imports, weights, gates, marks,
encoding. `flat` is the peak memory of a minute over that of ten seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMPT = "a red sailboat drifts right across the sea at sunset"
#: The first fragment of a stream begins with this box; what comes before it says only what kind of video it will be.
FRAGMENT = b"moof"


def imports() -> float:
    """Seconds until the modules that make a clip are imported, in a process of its own."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import kinemark.generate, kinemark.cli.making"], check=True)
    return time.perf_counter() - begun


def made(seconds: int, size: str, *, stream: bool) -> dict[str, float]:
    """A clip from the command line: seconds until its first frame and its end, and peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kinemark", "generate", PROMPT, "--seconds", str(seconds), "--size", size]
        command += ["--seed", "7", *(("--stream", "-") if stream else ("-o", str(Path(folder) / "clip.mp4")))]
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=os.environ | {"KINEMARK_HOME": folder}
        )
        assert process.stdout is not None
        first, arrived = 0.0, b""
        while chunk := process.stdout.read1(1 << 16):
            arrived = arrived[-8:] + chunk
            if not first and FRAGMENT in arrived:
                first = time.perf_counter() - begun
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command)} ended with {status}")
        return {"first": first, "total": time.perf_counter() - begun, "memory": usage.ru_maxrss / 1024}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="ten seconds where a minute is meant")
    arguments = parser.parse_args()
    minute = 10 if arguments.quick else 60
    figures = {"imports_s": imports()}
    wide, short, square = (
        made(minute, "256x144", stream=False),
        made(min(10, minute), "256x144", stream=False),
        made(minute, "256x256", stream=False),
    )
    streamed = made(minute, "256x144", stream=True)
    figures |= {
        "minute_256x144_s": wide["total"],
        "minute_256x256_s": square["total"],
        "stream_256x144_s": streamed["total"],
        "first_frame_s": streamed["first"],
        "first_frame_after_imports_s": streamed["first"] - figures["imports_s"],
        "memory_10s_mib": short["memory"],
        "memory_60s_mib": wide["memory"],
        "flat": wide["memory"] / short["memory"],
    }
    if arguments.json:
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
        return
    for name, value in figures.items():
        print(f"{name:<28} {value:10.2f}")


if __name__ == "__main__":
    main()
