"""`kinemark` with a tiny release, for processes that torchrun starts: they make one clip together."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from kinemark.cli import main
from kinemark.wan import releases
from tiny_wan import tiny_release

torch.set_num_threads(1)
releases.RELEASES["tiny-wan"] = tiny_release()
main(sys.argv[1:])
