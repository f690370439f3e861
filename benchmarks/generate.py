"""How long a clip takes, from the start of the process to the signed file, and how much memory.

    python benchmarks/generate.py [--json] [--runs N] [--seconds S] [--size WxH]

Each run is a process of its own; the fastest counts, since slower ones measure the rest of the machine. The share of
marking, encoding, signing and recording is measured beside it, in a process that releases a clip of the same size.
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


def measure(seconds: float, size: str, folder: Path) -> tuple[float, float]:
    """Wall seconds and peak resident gigabytes of one `kinemark generate`."""
    command = [sys.executable, "-m", "kinemark", "generate", PROMPT, "-o", str(folder / "clip.mp4")]
    command += ["--force", "--seed", "7", "--seconds", str(seconds), "--size", size]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "KINEMARK_HOME": str(folder)})
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    if status:
        raise SystemExit(f"kinemark generate ended with status {os.waitstatus_to_exitcode(status)}")
    return wall, usage.ru_maxrss / 2**20


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one flat object")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--size", default="256x256")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(arguments.seconds, arguments.size, Path(folder)) for _ in range(arguments.runs)]
    wall, memory = min(run[0] for run in runs), max(run[1] for run in runs)
    release = [sys.executable, str(Path(__file__).with_name("release.py")), "--json", "--total", str(wall)]
    shares = json.loads(subprocess.run(release, capture_output=True, text=True, check=True).stdout)
    figures = {
        "wall_s": round(wall, 2),
        "seconds_per_second_of_video": round(wall / arguments.seconds, 2),
        "peak_rss_gib": round(memory, 3),
        **{f"release_{name}": value for name, value in shares.items()},
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<36} {value}")


if __name__ == "__main__":
    main()
