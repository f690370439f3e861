"""Blocks whose weights wait in host memory, for a device that has no room for all of them.

While a block computes, the weights of the next one that waits come to the device beside it, on a stream of their own,
and those of a block that is done are forgotten there: of those that wait, at most two are on the device at a time.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Modules that wait, with their weights in memory that a device can copy from while it computes.

    Attributes:
        homes: of each module, its weights by name.
        modules: the modules.
        device: where they compute.
        stream: on which weights come; None where a device has no streams.
    """

    homes: tuple[Mapping[str, Tensor], ...]
    modules: tuple[nn.Module, ...]
    device: torch.device
    stream: Any

    @classmethod
    def of(cls, modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype) -> Waiting:
        """Let modules wait in a precision; each is turned by itself."""
        cuda = device.type == "cuda"
        homes = []
        for module in modules:
            module.to("cpu", dtype)
            home = {
                name: tensor.detach().pin_memory() if cuda else tensor.detach() for name, tensor in _weights(module)
            }
            _give(module, home)
            homes.append(home)
        return cls(tuple(homes), tuple(modules), device, torch.cuda.Stream(device) if cuda else None)  # type: ignore[no-untyped-call]

    def among(self, modules: Sequence[AnyModule]) -> Iterator[AnyModule]:
        """All of these modules in order, those that wait among them, each with its weights where it computes."""
        turns = {id(module): turn for turn, module in enumerate(self.modules)}
        coming = self._bring(0)
        for module in modules:
            turn = turns.get(id(module))
            if turn is None:
                yield module
                continue
            here, arrived = coming
            if arrived is not None:
                torch.cuda.current_stream(self.device).wait_event(arrived)
            _give(module, here)
            if turn + 1 < len(self.homes):
                coming = self._bring(turn + 1)
            yield module
            _give(module, self.homes[turn])

    def _bring(self, turn: int) -> tuple[dict[str, Tensor], Any]:
        """Begin to copy a module's weights; they are there when the event says so."""
        with torch.cuda.stream(self.stream) if self.stream else nullcontext():
            here = {
                name: tensor.to(self.device, non_blocking=True, copy=True) for name, tensor in self.homes[turn].items()
            }
        if self.stream is None:
            return here, None
        for tensor in here.values():  # not to be given away before what uses them is done
            tensor.record_stream(torch.cuda.current_stream(self.device))
        return here, self.stream.record_event()


def _weights(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _give(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors in the place of a module's weights."""
    for name, weight in _weights(module):
        weight.data = tensors[name]
