"""Which precision a device is fast at, found by measurement and not by name.

bfloat16 is two to three times faster than float32 on a CPU that has units for it (AVX512_BF16, AMX), and six to five
hundred times slower on one that has not (pytorch issue 146508), so guessing is expensive in both directions.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Final

import torch

_SIZE: Final = 384
_TRIES: Final = 3
#: bfloat16 has to win clearly: casts around it cost time as well.
_MARGIN: Final = 1.4


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where matrix products in it are clearly faster than in float32, else float32.

    A CUDA device is taken to have the units. A CPU is measured once in a process, which takes a few milliseconds.
    """
    if device.type == "cuda":
        return torch.bfloat16
    return torch.bfloat16 if device.type == "cpu" and _cpu_has_bfloat16() else torch.float32


def fast_autocast(device: torch.device) -> torch.autocast:
    """A context in which a network with float32 weights computes in `fast_dtype`: for training."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_dtype(device) is torch.bfloat16)


def no_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which nothing is cast by itself, whatever context is around it."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


@cache
def _cpu_has_bfloat16() -> bool:
    return _seconds(torch.float32) > _MARGIN * _seconds(torch.bfloat16)


def _seconds(dtype: torch.dtype) -> float:
    """The least time of a few matrix products, after one that is not counted."""
    matrix = torch.full((_SIZE, _SIZE), 0.5, dtype=dtype)
    times = []
    with torch.inference_mode():
        for _ in range(_TRIES + 1):
            start = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - start)
    return min(times[1:])
