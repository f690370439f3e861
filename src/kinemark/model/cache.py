"""Keys and values of slots that are already generated, kept raw and rotated when read.

Raw keys are the one representation from which every published policy can be derived: absolute positions, a window
that is renumbered as it moves (LongLive 2.0, Infinity-RoPE), sinks that follow the window (Rolling Forcing).

B batch, F slots, L tokens, N heads, E width of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache as remembered
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from kinemark.model.kernels import rotate

Placement = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""(true times of cached slots BF, of new slots BF, number of sinks) -> the times at which they are rotated."""


def absolute(past_BF: Tensor, new_BF: Tensor, sinks: int) -> tuple[Tensor, Tensor]:  # noqa: ARG001 - a Placement
    """Place every slot at its true time."""
    return past_BF, new_BF


def window_relative(past_BF: Tensor, new_BF: Tensor, sinks: int) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    """Number the slots as they lie in the cache, so that positions stay bounded (LongLive 2.0, Infinity-RoPE)."""
    held, slots = past_BF.shape[1], past_BF.shape[1] + new_BF.shape[1]
    order = torch.arange(slots, device=new_BF.device, dtype=new_BF.dtype)
    return order[:held].expand_as(past_BF), order[held:].expand_as(new_BF)


def sinks_before_window(past_BF: Tensor, new_BF: Tensor, sinks: int) -> tuple[Tensor, Tensor]:
    """Let the sinks follow the window and end right before it (the anchor block of Rolling Forcing)."""
    held = min(sinks, past_BF.shape[1])
    window_BF = torch.cat((past_BF[:, held:], new_BF), dim=1)
    follow = window_BF[:, :1] - held + torch.arange(held, device=new_BF.device, dtype=new_BF.dtype)
    return torch.cat((torch.maximum(past_BF[:, :held], follow), past_BF[:, held:]), dim=1), new_BF


def within(horizon: float) -> Placement:
    """Return the placement that clamps each cached slot's distance from the new slots to a trained horizon."""

    def place(past_BF: Tensor, new_BF: Tensor, sinks: int) -> tuple[Tensor, Tensor]:  # noqa: ARG001
        earliest, latest = new_BF.amin(1, keepdim=True), new_BF.amax(1, keepdim=True)
        return past_BF.clamp(earliest - horizon, latest + horizon), new_BF

    return place


class Layer(Protocol):
    """The keys and values of one layer, `[B, N, capacity, E]` in some form."""

    @classmethod
    def empty(cls, shape: tuple[int, ...], like: Tensor) -> Layer:
        """Room for `shape` keys and values, on the device and of the kind of a tensor."""

    def buffers(self) -> tuple[Tensor, ...]:
        """Everything that it holds; tokens are the third dimension of each."""

    def write(self, tokens: slice, raw: Tensor, rotated: Tensor, values: Tensor) -> None:
        """Keep new keys and values."""

    def turn(self, tokens: int, table: Tensor) -> None:
        """Have the first tokens read at other positions from now on."""

    def read(self, tokens: int, rotated: Tensor, values: Tensor, table: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """All rotated keys and values: those of the first tokens, and after them the new ones, which are at hand.

        Args:
            tokens: how many are cached.
            rotated: keys of the new ones.
            values: of the new ones.
            table: gives the rotary table of the cached ones.
        """


@dataclass(slots=True)
class Fixed:
    """Keys as they are read, and values: two thirds of the memory, for placements that never move what is cached."""

    rotated: Tensor
    values: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...], like: Tensor) -> Fixed:
        """Room for `shape` keys and values."""
        return cls(like.new_empty(shape), like.new_empty(shape))

    def buffers(self) -> tuple[Tensor, ...]:
        """Everything that it holds."""
        return self.rotated, self.values

    def write(self, tokens: slice, raw: Tensor, rotated: Tensor, values: Tensor) -> None:  # noqa: ARG002  a `Layer`
        """Keep new keys and values."""
        self.rotated[:, :, tokens] = rotated
        self.values[:, :, tokens] = values

    def turn(self, tokens: int, table: Tensor) -> None:  # noqa: ARG002  a `Layer`
        """Not possible."""
        raise AssertionError("these keys cannot be turned; a placement that moves them needs Plain or Int8")

    def read(
        self,
        tokens: int,
        rotated: Tensor,
        values: Tensor,  # noqa: ARG002  a `Layer`
        table: Callable[[], Tensor],  # noqa: ARG002  a `Layer`
    ) -> tuple[Tensor, Tensor]:
        """One contiguous run, for the new ones are written behind the others."""
        end = tokens + rotated.shape[2]
        return self.rotated[:, :, :end], self.values[:, :, :end]


@dataclass(slots=True)
class Plain(Fixed):
    """Raw keys beside those that attention reads, which are rotated anew when their placement changes."""

    raw: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...], like: Tensor) -> Plain:
        """Room for `shape` keys and values."""
        return cls(*(like.new_empty(shape) for _ in range(3)))

    def buffers(self) -> tuple[Tensor, ...]:
        """Everything that it holds."""
        return self.rotated, self.values, self.raw

    def write(self, tokens: slice, raw: Tensor, rotated: Tensor, values: Tensor) -> None:
        """Keep new keys and values."""
        Fixed.write(self, tokens, raw, rotated, values)
        self.raw[:, :, tokens] = raw

    def turn(self, tokens: int, table: Tensor) -> None:
        """Rotate the first tokens anew."""
        self.rotated[:, :, :tokens] = rotate(self.raw[:, :, :tokens], table)


@dataclass(slots=True)
class Int8:
    """Keys and values in 8 bits, with a scale for each token and head; a third of the memory, rotated at every read.

    New tokens are attended to as they are. (KIVI, arXiv 2402.02750, takes 2 bits and for keys a scale for each channel;
    one for each token needs no tokens to wait for a group to fill.)
    """

    raw: Tensor
    values: Tensor
    raw_scale: Tensor
    values_scale: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, ...], like: Tensor) -> Int8:
        """Room for `shape` keys and values."""
        codes = (like.new_empty(shape, dtype=torch.int8) for _ in range(2))
        scales = (like.new_empty((*shape[:3], 1)) for _ in range(2))
        return cls(*codes, *scales)

    def buffers(self) -> tuple[Tensor, ...]:
        """Everything that it holds."""
        return self.raw, self.values, self.raw_scale, self.values_scale

    def write(self, tokens: slice, raw: Tensor, rotated: Tensor, values: Tensor) -> None:  # noqa: ARG002  a `Layer`
        """Keep new keys and values."""
        for codes, scales, new in ((self.raw, self.raw_scale, raw), (self.values, self.values_scale, values)):
            scale = new.abs().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(new.dtype).tiny) / 127
            codes[:, :, tokens] = (new / scale).round().to(torch.int8)
            scales[:, :, tokens] = scale

    def turn(self, tokens: int, table: Tensor) -> None:
        """Nothing: keys are rotated whenever they are read."""

    def read(self, tokens: int, rotated: Tensor, values: Tensor, table: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
        """The first tokens out of their codes, and the new ones."""
        if not tokens:
            return rotated, values
        raw = self.raw[:, :, :tokens] * self.raw_scale[:, :, :tokens]
        kept = self.values[:, :, :tokens] * self.values_scale[:, :, :tokens]
        return torch.cat((rotate(raw, table()), rotated), dim=2), torch.cat((kept, values), dim=2)


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Which slots are kept, and where in time they are read."""

    window: int | None = None
    """How many slots are kept beside the sinks; None keeps all."""
    sinks: int = 0
    """First slots written (or first since the last `KVCache.pin`), which are never dropped."""
    place: Placement = absolute
    layer: type[Layer] = Plain
    """In which form keys and values are kept: `Plain`, `Fixed` (with `absolute`) or `Int8`."""

    def __post_init__(self) -> None:
        if self.sinks < 0 or (self.window is not None and self.window < 0):
            raise ValueError(f"window {self.window} and sinks {self.sinks} must not be negative")

    def kept(self, times: Sequence[float], pinned: int = 0) -> list[int]:
        """Return the indices that survive, of slots at these times in cache order; sinks are those from `pinned` on.

        Beside the sinks those nearest in time to the last one stay: the most recent ones, and what lies just ahead.
        """
        slots = len(times)
        if self.window is None or slots <= self.sinks + self.window:
            return list(range(slots))
        sinks = range(pinned, min(pinned + self.sinks, slots))
        others = [index for index in range(slots) if index not in sinks]
        others.sort(key=lambda index: (abs(times[index] - times[-1]), -index))
        return sorted([*sinks, *others[: self.window]])


def _no_table() -> Tensor:
    raise AssertionError("nothing is cached yet")


class KVCache:
    """The cache of one rollout, for inference: `Transformer.forward` reads it, and appends to it with `write=True`.

    A forward writes its own keys behind the cached ones; `close` then either keeps or forgets them. Rotated keys are
    remembered until their placement changes.
    """

    def __init__(self, policy: CachePolicy | None = None) -> None:
        self.policy = policy or CachePolicy()
        self.slots_written = 0
        self._pinned = 0
        self._layers: list[Layer] = []
        self._past_BF: Tensor | None = None
        self._placed_BF: Tensor | None = None
        self._new_BF: Tensor | None = None
        self._new_placed_BF: Tensor | None = None
        self._tokens_per_slot = 0
        self._past_table: Callable[[], Tensor] = _no_table

    def __len__(self) -> int:
        """Return the number of cached slots."""
        return 0 if self._past_BF is None else self._past_BF.shape[1]

    @property
    def tokens(self) -> int:
        """Cached tokens of one batch item."""
        return len(self) * self._tokens_per_slot

    @property
    def nbytes(self) -> int:
        """Memory that the cache holds, scratch space included."""
        return sum(buffer.nbytes for buffer in self.buffers())

    @property
    def times(self) -> Tensor | None:
        """True times `[B, F]` of the cached slots in generation order; None when empty."""
        return self._past_BF

    def open(self, time_BF: Tensor, tokens_per_slot: int, table: Callable[[Tensor], Tensor]) -> Tensor:
        """Begin a forward of new slots; return the rotary table at which they are to be rotated.

        Args:
            time_BF: true times of the new slots.
            tokens_per_slot: tokens of one slot; the same in every forward of a rollout.
            table: times -> rotary table.

        Raises:
            RuntimeError: gradients are on; cached keys carry none.
            ValueError: the batch or the picture size differs from that of the cached slots.
        """
        if torch.is_grad_enabled():
            raise RuntimeError("a forward with a cache keeps no gradients; run it under torch.no_grad()")
        self._new_BF = time_BF
        if self._past_BF is None or self._placed_BF is None:
            self._tokens_per_slot = tokens_per_slot
            self._new_placed_BF = self.policy.place(time_BF[:, :0], time_BF, self.policy.sinks)[1]
            return table(self._new_placed_BF)
        if (len(self._past_BF), self._tokens_per_slot) != (len(time_BF), tokens_per_slot):
            raise ValueError(
                f"the cache holds batch {len(self._past_BF)} with {self._tokens_per_slot} tokens per slot, the new "
                f"slots have batch {len(time_BF)} with {tokens_per_slot}; start a new KVCache for another batch or size"
            )
        placed_BF, self._new_placed_BF = self.policy.place(self._past_BF, time_BF, self.policy.sinks)
        self._past_table = remembered(partial(table, placed_BF))
        if not torch.equal(placed_BF, self._placed_BF):
            for layer in self._layers:
                layer.turn(self.tokens, self._past_table())
            self._placed_BF = placed_BF
        return table(self._new_placed_BF)

    def join(self, index: int, raw_BNLE: Tensor, rotated_BNLE: Tensor, values_BNLE: Tensor) -> tuple[Tensor, Tensor]:
        """Put a layer's new keys and values behind the cached ones; return all rotated keys and all values."""
        end = self.tokens + raw_BNLE.shape[2]
        layer = self._layer(index, end, raw_BNLE)
        layer.write(slice(self.tokens, end), raw_BNLE, rotated_BNLE, values_BNLE)
        return layer.read(self.tokens, rotated_BNLE, values_BNLE, self._past_table)

    def close(self, *, write: bool) -> None:
        """End a forward: keep the new slots (and drop what the policy drops), or forget them."""
        new_BF, new_placed_BF = self._new_BF, self._new_placed_BF
        assert new_BF is not None
        assert new_placed_BF is not None
        self._new_BF = self._new_placed_BF = None
        if not write:
            return
        self.slots_written += new_BF.shape[1]
        if self._past_BF is None or self._placed_BF is None:
            self._past_BF, self._placed_BF = new_BF, new_placed_BF
        else:
            self._past_BF = torch.cat((self._past_BF, new_BF), dim=1)
            self._placed_BF = torch.cat((self._placed_BF, new_placed_BF), dim=1)
        self.keep(self.policy.kept(self._past_BF[0].tolist(), self._pinned))

    def buffers(self) -> Iterator[Tensor]:
        """Everything that it holds of keys and values."""
        for layer in self._layers:
            yield from layer.buffers()

    def keep(self, slots: Sequence[int]) -> None:
        """Keep only these slots (indices in cache order, ascending), for example after a change of prompt."""
        if self._past_BF is None or self._placed_BF is None or list(slots) == list(range(len(self))):
            return
        index = torch.tensor(slots, dtype=torch.long, device=self._past_BF.device)
        size = self._tokens_per_slot
        tokens = (index[:, None] * size + torch.arange(size, device=index.device)).flatten()
        for buffer in self.buffers():
            buffer[:, :, : len(tokens)] = buffer[:, :, tokens.to(buffer.device)]
        self._past_BF, self._placed_BF = self._past_BF[:, index], self._placed_BF[:, index]
        self._pinned = sum(slot < self._pinned for slot in slots)

    def pin(self) -> None:
        """Let the next slots that are written be the sinks; those before are dropped like any other."""
        self._pinned = len(self)

    def _layer(self, index: int, end: int, like_BNLE: Tensor) -> Layer:
        """Return a layer with room for `end` tokens."""
        batch, heads, _, width = like_BNLE.shape
        shape = (batch, heads, self._capacity(end), width)
        if index == len(self._layers):
            self._layers.append(self.policy.layer.empty(shape, like_BNLE))
        layer = self._layers[index]
        if layer.buffers()[0].shape[2] < end:
            grown = self.policy.layer.empty(shape, like_BNLE)
            for new, old in zip(grown.buffers(), layer.buffers(), strict=True):
                new[:, :, : self.tokens] = old[:, :, : self.tokens]
            layer = self._layers[index] = grown
        return layer

    def _capacity(self, end: int) -> int:
        """Room to allocate for `end` tokens: what a bounded policy can ever need, or double what is needed now."""
        if self.policy.window is None:
            return 2 * end
        return max(end, (self.policy.sinks + self.policy.window) * self._tokens_per_slot + end - self.tokens)
