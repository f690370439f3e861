"""How long the command line takes to answer when it has nothing to compute.

    python benchmarks/cli.py [--json] [--runs N]

Each command is a process of its own; the fastest run counts, since slower ones measure the rest of the machine. `wall`
is what a person waits, `cpu` what the process used.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "import_kinemark": [sys.executable, "-c", "import kinemark"],
    "help": [sys.executable, "-m", "kinemark", "--help"],
    "check": [sys.executable, "-m", "kinemark", "check", "a red sailboat at sunset", "--json"],
}


def measure(command: list[str], runs: int) -> tuple[float, float]:
    """The least wall time and the least processor time of `runs` runs, in seconds."""
    walls, cpus = [], []
    for _ in range(runs):
        before, started = os.times(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        walls.append(time.perf_counter() - started)
        used = (after.children_user + after.children_system) - (before.children_user + before.children_system)
        cpus.append(used)
    return min(walls), min(cpus)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=10)
    arguments = parser.parse_args()
    figures = {}
    for name, command in COMMANDS.items():
        wall, cpu = measure(command, arguments.runs)
        figures[f"{name}_wall_s"], figures[f"{name}_cpu_s"] = round(wall, 3), round(cpu, 3)
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, seconds in figures.items():
            print(f"{name:<24} {seconds:.3f}")


if __name__ == "__main__":
    main()
