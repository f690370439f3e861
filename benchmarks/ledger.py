"""How long it takes to find a clip by likeness among many, indexed and by looking at each; `--json` prints one object.

    python benchmarks/ledger.py --clips 1000000 --json

The hashes are those of rendered clips, changed at random: a million clips of a small world look more alike than a
million real ones, so their pieces crowd in fewer places, which is the harder case for an index.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time

import numpy as np

from kinemark.cli.footage import rendered
from kinemark.provenance.fingerprints.fingerprint import HASH, VIEWS, distances, fingerprint
from kinemark.provenance.fingerprints.hash_index import RADIUS, HashIndex

SEEDS = 64
QUESTIONS = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rng, drawn = np.random.default_rng(0), random.Random(0)
    seeds = [fingerprint(rendered(drawn, 8, (128, 128))).views for _ in range(SEEDS)]
    world = np.frombuffer(b"".join(seeds), np.uint8).reshape(-1, HASH)
    count = given.clips * len(VIEWS)
    hashes = world[rng.integers(len(world), size=count)] ^ _flips(rng, count, 0.2)
    owners = np.repeat(np.arange(given.clips), len(VIEWS))
    begin = time.perf_counter()
    index = HashIndex.build(hashes, owners)
    built = time.perf_counter() - begin
    indexed, looked, missed = [], [], 0
    for number in range(QUESTIONS):
        row = int(rng.integers(count))
        query = (hashes[row] ^ _flips(rng, 1, 0.06)[0]).tobytes()
        begin = time.perf_counter()
        found = index.near(query)
        indexed.append(time.perf_counter() - begin)
        own = int(distances(query, hashes[row][None])[0])
        missed += own <= RADIUS and int(owners[row]) not in {owner for _, owner in found}
        if number < 5:
            begin = time.perf_counter()
            all_bits = distances(query, hashes)
            looked.append(time.perf_counter() - begin)
            missed += len(found) != int((all_bits <= RADIUS).sum())
    said = {
        "clips": given.clips,
        "hashes": count,
        "build_s": round(built, 2),
        "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "indexed_ms_median": round(1e3 * float(np.median(indexed)), 2),
        "indexed_ms_p95": round(1e3 * float(np.percentile(indexed, 95)), 2),
        "each_ms_median": round(1e3 * float(np.median(looked)), 1),
        "times_faster": round(float(np.median(looked) / np.median(indexed)), 1),
        "missed": missed,
    }
    print(json.dumps(said) if given.json else "\n".join(f"{name:>20} {value}" for name, value in said.items()))


def _flips(rng: np.random.Generator, count: int, share: float) -> np.ndarray:
    """Random changes: each bit with this chance."""
    flips = np.empty((count, HASH), np.uint8)
    for start in range(0, count, 1 << 18):
        stop = min(count, start + (1 << 18))
        flips[start:stop] = np.packbits(rng.random((stop - start, HASH * 8), np.float32) < share, axis=1)
    return flips


if __name__ == "__main__":
    main()
