"""A forward that several processes share equals that of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemark.model.parallel import Sharing, spread

SCRIPT = Path(__file__).with_name("shared_forwards.py")
KINDS = {"full", "block-causal", "longlive", "rolling"}


@given(st.integers(0, 500), st.integers(1, 16))
def test_parts_are_as_even_as_can_be(count, parts):
    sizes = spread(count, parts)
    assert sum(sizes) == count
    assert len(sizes) == parts
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(8, 100), st.sampled_from([(1, 8), (2, 4), (4, 2), (8, 1)]))
def test_processes_hold_all_tokens_once(tokens, grid):
    down, across = grid
    places = [Sharing(None, None, across, down, index) for index in range(down * across)]
    held = [token for place in places for token in range(tokens)[place.own(tokens)]]
    assert held == list(range(tokens))
    for place in places:
        own, row = range(tokens)[place.own(tokens)], range(tokens)[place.of_row(tokens)]
        assert set(own) <= set(row)
        assert place.of_row(tokens, place.index // across) == place.of_row(tokens)


@pytest.mark.parametrize(("processes", "across"), [(2, "1,2"), pytest.param(8, "1,2,4,8", marks=pytest.mark.slow)])
def test_all_give_what_one_gives(processes, across):
    """Ring attention, Ulysses, and grids of both; 12 heads on 8 processes, and tokens that do not divide."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run(
        [*command, str(SCRIPT), across],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line.split() for line in done.stdout.splitlines() if line.count(" ") == 3]
    divided = {("0", "rolling")}  # one half under the prompt, the other without it
    assert {(row[0], row[1]) for row in rows} == {(one, kind) for one in across.split(",") for kind in KINDS} | divided
    for _, kind, error, same in rows:
        assert float(error) < 1e-5, kind
        assert same == "True", kind
