"""How often a stranger may ask: per source, and per picture.

A detector that answers without end is an oracle: whoever wants a mark gone changes the picture a little, asks, and
keeps what brought the answer closer. So every source has an allowance, and so has every picture, whoever asks:
near-duplicates of one picture share it. What is counted lies in this process's memory, and is forgotten with it.
"""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from kinemark.provenance.fingerprints.fingerprint import distance

if TYPE_CHECKING:
    from collections.abc import Callable

_Key = TypeVar("_Key")

MAX_KEYS: Final = 100_000
"""Sources and pictures that are remembered; the longest silent ones are forgotten first."""
NEAR: Final = 24
"""Differing bits, of 256, up to which two pictures share an allowance."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many questions in so many seconds."""

    count: int
    seconds: float


BINDINGS: Final = Allowance(120, 60)
CONTENT: Final = Allowance(12, 60)
PROMPTS: Final = Allowance(120, 60)
PICTURE: Final = Allowance(12, 3600)
CASES: Final = Allowance(10, 3600)
LOOKS: Final = Allowance(120, 60)
#: Keys of one source that are hashed to be compared, which takes a while and memory.
KEYS: Final = Allowance(120, 60)
#: What one key may send that changes something.
CHANGES: Final = Allowance(600, 60)


class Limits:
    """Counts questions. Not for several threads at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: OrderedDict[tuple[str, Allowance], deque[float]] = OrderedDict()
        self._pictures: OrderedDict[bytes, deque[float]] = OrderedDict()

    def wait(self, source: str, allowance: Allowance) -> float:
        """Count a question of this source; seconds until it may be asked, 0 for now (only then is it counted)."""
        return self._count(self._asked, (network(source), allowance), allowance)

    def wait_for_picture(self, seen: bytes, allowance: Allowance = PICTURE) -> float:
        """The same for a picture, by its clip hash (32 bytes); near-duplicates count as one."""
        known = next((one for one in reversed(self._pictures) if distance(one, seen) <= NEAR), seen)
        return self._count(self._pictures, known, allowance)

    def _count(self, table: OrderedDict[_Key, deque[float]], key: _Key, allowance: Allowance) -> float:
        now = self._clock()
        times = table.setdefault(key, deque())
        table.move_to_end(key)
        while times and times[0] <= now - allowance.seconds:
            times.popleft()
        if len(times) >= allowance.count:
            return times[0] + allowance.seconds - now
        times.append(now)
        if len(table) > MAX_KEYS:
            table.popitem(last=False)
        return 0.0


def network(source: str) -> str:
    """Whom an address stands for: itself for IPv4, its /64 network for IPv6, of which everybody has as many as 2^64."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
