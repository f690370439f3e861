"""Memory: what a device has free, and what code takes, which runs for that on tensors with shapes and no data."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor


class Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that operators give while it is on, and that are alive at the same time.

    Views count once. What was there before counts when it is looked at, but for `weights`.
    """

    def __init__(self, weights: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive = self.peak = 0
        self._seen: dict[int, Any] = {weight.untyped_storage()._cdata: weight for weight in weights}  # noqa: SLF001

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Run an operator, and look at what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._born(leaf.untyped_storage())
        return made

    def _born(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata  # noqa: SLF001  what identifies a storage
        if key in self._seen:
            return
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        self._seen[key] = weakref.finalize(storage, self._died, key, size)

    def _died(self, key: int, size: int) -> None:
        self._seen.pop(key, None)
        self.alive -= size


def living(call: Callable[[], object], weights: Iterable[Tensor] = ()) -> tuple[int, float]:
    """The most bytes that are alive while something runs, beside weights, and its floating-point operations."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter, Living(weights) as mode:
        call()
    return mode.peak, float(counter.get_total_flops())


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("utf-8").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # no Linux: what is unused, which is less
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
