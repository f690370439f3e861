"""What thresholds would do: a reader on prompts of `own/tuning.tsv`, which nothing is trained on.

    python -m kinemark.training.gate.thresholds [FOLDER]

A threshold is chosen here and by out-of-fold scores (`fit --fold`), never by the held-out suites.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinemark.safety.prompt.meaning import WEIGHTS, load_reader
from kinemark.safety.prompt.normalise import sentences
from kinemark.shares import Share
from kinemark.training.gate.prompts import OWN

if TYPE_CHECKING:
    from kinemark.safety.prompt.meaning import PromptReader

THRESHOLDS: Final = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95)


def scored(reader: PromptReader) -> dict[str, list[tuple[float, str]]]:
    """For each group its prompts with the reader's probability that they are harmful, in 0..1."""
    groups: dict[str, list[tuple[float, str]]] = {}
    for line in (OWN / "tuning.tsv").read_text("utf-8").splitlines():
        group, _, prompt = line.split("\t")
        probability = max(float(row[-1]) for row in reader.read(list(sentences(prompt))))
        groups.setdefault(group, []).append((probability, prompt))
    return groups


def stopped(scores: list[tuple[float, str]], threshold: float) -> Share:
    """How many of a group a threshold stops."""
    return Share(sum(probability >= threshold for probability, _ in scores), len(scores))


def main() -> None:
    """Print a table: what is stopped of each group at each threshold."""
    parser = argparse.ArgumentParser(description="What thresholds would do.")
    parser.add_argument("folder", type=Path, nargs="?", default=WEIGHTS, help="folder of the reader's weights")
    groups = scored(load_reader(parser.parse_args().folder))
    print("threshold", *groups, sep="\t")
    for threshold in THRESHOLDS:
        print(threshold, *(f"{100 * stopped(scores, threshold).rate:.1f}" for scores in groups.values()), sep="\t")


if __name__ == "__main__":
    main()
