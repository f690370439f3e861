"""How a model is fitted into a device that has little memory: the first way that has room is taken.

Guidance asks about both prompts in one pass, or in turn, which halves what a step takes; and on a GPU some blocks wait
in host memory (`model.waiting`), which costs time where copying a block takes longer than computing it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kinemark.model.precision import fast_dtype
from kinemark.wan.costs import step_cost

if TYPE_CHECKING:
    import torch

    from kinemark.model.quantised import Kind
    from kinemark.sampling.streaming import SamplerConfig
    from kinemark.wan.costs import Work
    from kinemark.wan.releases import Release

#: Blocks that wait are on the device two at a time.
_PASSING: Final = 2
#: What is left free: what is alive is not all that an allocator takes.
_SPARE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Fit:
    """A way to run a model, and what it takes.

    Attributes:
        in_turn: whether guidance asks one after the other.
        waiting: how many of each transformer's last blocks wait in host memory.
        layers: how many blocks each has.
        weights: bytes of weights on the device.
        step: bytes that a step takes beside them.
        flop: floating-point operations of a step, guidance included.
        fits: whether the device has room for it.
    """

    in_turn: bool
    waiting: int
    layers: int
    weights: int
    step: int
    flop: float
    fits: bool

    def __str__(self) -> str:
        """What is done to make it fit, in words; nothing where nothing has to be."""
        said = ["guidance asks one after the other"] if self.in_turn else []
        if self.waiting:
            said.append(f"{self.waiting} of {self.layers} blocks wait in host memory")
        return ", and ".join(said) if self.fits else "too little memory on this device; choose a smaller model or size"


def fit(
    release: Release,
    work: Work,
    sampler: SamplerConfig,
    device: torch.device,
    free: int,
    *,
    guided: bool,
    kind: Kind | None = None,
) -> Fit:
    """The fastest way that has room in `free` bytes, or the smallest one if none has."""
    dtype = fast_dtype(device)
    experts, layers = len(release.guidance), release.config.layers
    block = release.block_parameters * (kind.dtype if kind else dtype).itemsize
    around = release.parameters - experts * layers * release.block_parameters
    weights = experts * layers * block + dtype.itemsize * around
    room = int(free * _SPARE)
    step, flop = step_cost(release, dtype, 2 if guided else 1, work, sampler)
    whole = Fit(in_turn=False, waiting=0, layers=layers, weights=weights, step=step, flop=flop, fits=True)
    if weights + step <= room:
        return whole
    if guided and sampler.block_slots is None:
        half, _ = step_cost(release, dtype, 1, work, sampler)
        whole = replace(whole, in_turn=True, step=half)
        if weights + half <= room:
            return whole
    if device.type != "cuda":  # elsewhere host memory is all there is
        return replace(whole, fits=False)
    over = weights + whole.step - room
    waiting = min(layers, -(-over // (experts * block)) + _PASSING)
    left = weights - experts * max(0, waiting - _PASSING) * block
    return replace(whole, waiting=waiting, weights=left, fits=left + whole.step <= room)
