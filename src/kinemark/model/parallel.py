"""A forward that several processes share: every slot's tokens are cut into as many parts, one for each of them.

Everything in a block works on tokens one by one, but self-attention. For that the processes stand in a grid. Those in a
row exchange tokens for heads, so that each attends with some heads to all tokens of the row (Ulysses, arXiv
2309.14509); those in a column pass their keys and values around, and each adds up what it sees of them (ring attention,
arXiv 2310.01889). One row is Ulysses alone, one column ring attention alone. Heads and tokens need not divide evenly.

B batch, F slots, L tokens, N heads, E width of a head, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from einops import rearrange
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from kinemark.model.kernels import attend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.distributed import ProcessGroup

    from kinemark.model.kernels import MaskOf


def spread(count: int, parts: int) -> list[int]:
    """How many of `count` things each of so many parts has: as even as can be, the larger parts first."""
    return [count // parts + (part < count % parts) for part in range(parts)]


@dataclass(frozen=True, slots=True)
class Sharing:
    """The place of this process in the grid of those that share a forward.

    Attributes:
        row: the processes that exchange heads, and `column`, those that pass keys around; None where there is only one.
        across: how many are in a row, and `down`, how many rows there are.
        index: of this process, counted along the rows.
        first: which of all processes is number 0 of this grid.
        grid: all that are in it; None: all there are.
        twins: the processes at the same place of every grid; None where there is one grid.
    """

    row: ProcessGroup | None
    column: ProcessGroup | None
    across: int
    down: int
    index: int
    first: int = 0
    grid: ProcessGroup | None = None
    twins: ProcessGroup | None = None

    @classmethod
    def of_all(cls, across: int, device_type: str = "cpu", *, grids: int = 1) -> Sharing:
        """Grids of all processes of the default group, so many in a row.

        Args:
            across: how many stand in a row.
            device_type: "cpu" or "cuda".
            grids: how many there are; each has forwards of its own (of the two that guidance takes, say).

        Raises:
            ValueError: so many grids, or so many in a row, do not divide all of them.
        """
        world = dist.get_world_size()
        if min(across, grids) < 1 or world % (grids * across):
            raise ValueError(f"{world} processes do not make {grids} grids with rows of {across}; give divisors")
        size = world // grids
        mesh = init_device_mesh(device_type, (grids, size // across, across), mesh_dim_names=("grid", "column", "row"))
        row = mesh.get_group("row") if across > 1 else None
        column = mesh.get_group("column") if across < size else None
        index = dist.get_rank() % size
        if grids == 1:
            return cls(row, column, across, size // across, index)
        own = _own_grid(grids, size)
        return cls(row, column, across, size // across, index, dist.get_rank() - index, own, mesh.get_group("grid"))

    def own(self, tokens: int) -> slice:
        """Which of a slot's tokens are this process's."""
        sizes = spread(tokens, self.across * self.down)
        begin = sum(sizes[: self.index])
        return slice(begin, begin + sizes[self.index])

    def of_row(self, tokens: int, row: int | None = None) -> slice:
        """Which of a slot's tokens a row has; this process's row by default."""
        row = self.index // self.across if row is None else row
        sizes = spread(tokens, self.across * self.down)
        begin = sum(sizes[: row * self.across])
        return slice(begin, begin + sum(sizes[row * self.across : (row + 1) * self.across]))

    def to_heads(self, x_BNLE: Tensor, slots: int, tokens: int) -> Tensor:
        """From all heads of this process's tokens to some heads of all tokens of its row, in raster order."""
        if self.row is None:
            return x_BNLE
        heads = spread(x_BNLE.shape[1], self.across)
        sizes = self._row_sizes(tokens)
        sent = [part.contiguous() for part in x_BNLE.split(heads, dim=1)]  # type: ignore[no-untyped-call]
        mine = heads[self.index % self.across]
        shapes = [(x_BNLE.shape[0], mine, slots * size, x_BNLE.shape[3]) for size in sizes]
        parts = _exchange(sent, shapes, self.row)
        return torch.cat([rearrange(part, "B N (F S) E -> B N F S E", F=slots) for part in parts], dim=3).flatten(2, 3)

    def to_tokens(self, x_BNLE: Tensor, heads: int, slots: int, tokens: int) -> Tensor:
        """The inverse of `to_heads`."""
        if self.row is None:
            return x_BNLE
        sizes = self._row_sizes(tokens)
        by_slot = rearrange(x_BNLE, "B N (F S) E -> B N F S E", F=slots)
        sent = [part.flatten(2, 3).contiguous() for part in by_slot.split(sizes, dim=3)]  # type: ignore[no-untyped-call]
        own = slots * sizes[self.index % self.across]
        shapes = [(x_BNLE.shape[0], count, own, x_BNLE.shape[3]) for count in spread(heads, self.across)]
        return torch.cat(_exchange(sent, shapes, self.row), dim=1)

    def attend(self, q_BNLE: Tensor, k_BNKE: Tensor, v_BNKE: Tensor, mask_of: MaskOf | None, tokens: int) -> Tensor:
        """Attention to the keys of this row, and of all others.

        Args:
            q_BNLE: queries of this row's tokens.
            k_BNKE: keys of this row's tokens, those of a cache first.
            v_BNKE: values of them.
            mask_of: which slots see which; None: all.
            tokens: of a whole slot.
        """
        sizes = [self._length(self.of_row(tokens, row)) for row in range(self.down)]
        own = self.index // self.across
        if self.column is None:
            return attend(q_BNLE, k_BNKE, v_BNKE, None if mask_of is None else mask_of(sizes[own], sizes[own]))
        held = k_BNKE.shape[2] // sizes[own]
        pair = torch.stack((k_BNKE, v_BNKE))
        total: tuple[Tensor, Tensor] | None = None
        for turn in range(self.down):
            visitor = (own - turn) % self.down
            mask = None if mask_of is None else mask_of(sizes[own], sizes[visitor])
            seen = _attend_with_weight(q_BNLE, pair[0], pair[1], mask)
            total = seen if total is None else _added(total, seen)
            if turn < self.down - 1:
                coming = held * sizes[(visitor - 1) % self.down]
                pair = self._pass_on(pair, (*pair.shape[:3], coming, pair.shape[4]))
        assert total is not None
        return total[0].to(q_BNLE.dtype)

    def gathered(self, x_BLE: Tensor, slots: int, tokens: int) -> Tensor:
        """All tokens, slot by slot in raster order, from every process's own."""
        sizes = spread(tokens, self.across * self.down)
        padded = x_BLE.new_zeros(x_BLE.shape[0], slots, max(sizes), x_BLE.shape[2])
        padded[:, :, : sizes[self.index]] = rearrange(x_BLE, "B (F S) E -> B F S E", F=slots)
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded, group=self.grid)
        return torch.cat([part[:, :, :size] for part, size in zip(parts, sizes, strict=True)], dim=2).flatten(1, 2)

    def _row_sizes(self, tokens: int) -> list[int]:
        first = self.index // self.across * self.across
        return spread(tokens, self.across * self.down)[first : first + self.across]

    @staticmethod
    def _length(part: slice) -> int:
        return int(part.stop - part.start)

    def _pass_on(self, pair: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Send to the next row, receive from the one before."""
        assert self.column is not None
        place = self.index % self.across
        own = self.index // self.across
        after, before = (self.first + (own + step) % self.down * self.across + place for step in (1, -1))
        received = pair.new_empty(shape)
        requests = dist.batch_isend_irecv(
            [
                dist.P2POp(dist.isend, pair.contiguous(), after, self.column),
                dist.P2POp(dist.irecv, received, before, self.column),
            ]
        )
        for request in requests:
            request.wait()
        return received


@cache
def sharing_of(heads: int, device_type: str, *, guided: bool) -> Sharing | None:
    """How all processes share the forwards of a model; None where there is one process.

    With guidance one half of them answers under the prompt and the other without. Within a half, rows are as long as
    heads divide evenly among them: exchanging heads costs less than passing keys around.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return None
    world = dist.get_world_size()
    grids = 2 if guided and world % 2 == 0 else 1
    size = world // grids
    across = max(row for row in range(1, size + 1) if size % row == 0 and heads % row == 0)
    return Sharing.of_all(across, device_type, grids=grids)


def _own_grid(grids: int, size: int) -> ProcessGroup | None:
    """The group of this process's grid; every process has to make those of all."""
    groups: list[ProcessGroup | None] = [
        dist.new_group(list(range(first, first + size))) for first in range(0, grids * size, size)
    ]
    return groups[dist.get_rank() // size]


def _exchange(sent: Sequence[Tensor], shapes: Sequence[tuple[int, ...]], group: ProcessGroup) -> list[Tensor]:
    """Give each process of a group its tensor; return what each gave, in these shapes."""
    counts = [torch.Size(shape).numel() for shape in shapes]
    received = sent[0].new_empty(sum(counts))
    flat = torch.cat([part.flatten() for part in sent])
    dist.all_to_all_single(received, flat, counts, [part.numel() for part in sent], group=group)
    parts: Any = received.split(counts)  # type: ignore[no-untyped-call]
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def _attend_with_weight(
    q_BNLE: Tensor, k_BNKE: Tensor, v_BNKE: Tensor, mask_B1LK: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention to some keys in float32, and the logarithm of the sum of its weights, `[B, N, L, 1]`."""
    score_BNLK = (q_BNLE.float() * q_BNLE.shape[-1] ** -0.5) @ k_BNKE.float().mT
    if mask_B1LK is not None:
        score_BNLK = score_BNLK.masked_fill(~mask_B1LK, -torch.inf)
    weight_BNL1 = score_BNLK.logsumexp(dim=-1, keepdim=True)
    shares_BNLK = torch.exp(score_BNLK - weight_BNL1.clamp(min=torch.finfo(torch.float32).min))
    return shares_BNLK @ v_BNKE.float(), weight_BNL1


def _added(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Attention to two sets of keys from attention to each (arXiv 2310.01889, algorithm 1)."""
    weight_BNL1 = torch.logaddexp(one[1], other[1])
    share = torch.exp(one[1] - weight_BNL1)
    return other[0] + share * (one[0] - other[0]), weight_BNL1
