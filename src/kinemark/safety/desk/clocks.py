"""Which cases there are, how long each may wait, and who answers: `clocks.toml`, read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from kinemark.errors import RequestError

CLOCKS: Final = Path(__file__).with_name("clocks.toml")

Kind = Literal["appeal", "report", "takedown", "incident"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a case is opened, the hours in which it must be answered, and who says so."""

    id: str
    hours: int
    source: str


@dataclass(frozen=True, slots=True)
class Clock:
    """One kind of case."""

    kind: Kind
    title: str
    owner: str
    outcomes: tuple[str, ...]
    grounds: tuple[Ground, ...]

    def ground(self, id_: str | None) -> Ground:
        """The ground with that id; the usual one for None.

        Raises:
            RequestError: there is none.
        """
        if id_ is None:
            return self.grounds[0]
        for ground in self.grounds:
            if ground.id == id_:
                return ground
        known = ", ".join(ground.id for ground in self.grounds)
        raise RequestError(f"{self.kind} has no ground {id_!r}; choose one of: {known}")


@cache
def clock(kind: Kind) -> Clock:
    """The clock of a kind of case."""
    fields = tomllib.loads(CLOCKS.read_text("utf-8"))[kind]
    grounds = tuple(Ground(**ground) for ground in fields["grounds"])
    return Clock(kind, fields["title"], fields["owner"], tuple(fields["outcomes"]), grounds)
