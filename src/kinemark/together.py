"""Processes that work together: they train one model by averaging gradients, or make one clip by sharing forwards.

`torchrun --nproc-per-node N --no-python kinemark train ...` (or `generate ...`, or `evaluate ...`) starts them. On a
CPU two processes of one thread train faster than one of two threads: most of spark's tensors are too small to be worth
sharing out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import torch
from torch import distributed
from torch.nn.utils import parameters_to_vector, vector_to_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Together:
    """This process among those that work together.

    Attributes:
        rank: its number, from 0; number 0 writes, prints and keeps the time.
        count: how many there are; 1 where it works alone, and then nothing is exchanged.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace the gradients of parameters by their mean over the processes; all must have the same ones."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = parameters_to_vector(gradients)
        distributed.all_reduce(flat)
        vector_to_parameters(flat / self.count, gradients)

    def wait(self) -> None:
        """Go on when all have come this far: what one wrote, the others can then read."""
        if self.count > 1:
            distributed.barrier()

    def agreed(self, value: T) -> T:
        """What process 0 gives, for all: clocks and random seeds differ."""
        if self.count == 1:
            return value
        shared = [value]
        distributed.broadcast_object_list(shared, 0)
        return shared[0]


#: The usual case.
ALONE: Final = Together()


def join() -> Together:
    """Join the processes that torchrun started with this one; without torchrun, work alone."""
    if not distributed.is_torchelastic_launched():
        return ALONE
    if not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(distributed.get_node_local_rank())
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Together(distributed.get_rank(), distributed.get_world_size())
