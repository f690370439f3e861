"""The state of a run on disk: everything that the next step depends on, replaced atomically."""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from kinemark.model.transformer import Transformer
    from kinemark.training.optim import Ema


def require_minutes(minutes: float) -> None:
    """Refuse a length of training that is not a positive number, with a RequestError."""
    if not (math.isfinite(minutes) and minutes > 0):
        raise RequestError(f"minutes is {minutes}; give a number greater than 0")


@dataclass(slots=True)
class Progress:
    """Where a run stands. A cycle is one warm restart: its own warm-up, plateau and decay over `cycle_minutes`.

    Attributes:
        seed: of the run; with `step` it decides every batch.
        step: steps done in all cycles.
        tokens: video tokens seen in all cycles.
        clips: clips seen in all cycles.
        seconds: time trained in all cycles.
        cycle_step: step at which the present cycle began.
        cycle_seconds: time trained in the present cycle.
        cycle_minutes: its length.
        origin: what the run began with.
    """

    seed: int = 0
    step: int = 0
    tokens: int = 0
    clips: int = 0
    seconds: float = 0.0
    cycle_step: int = 0
    cycle_seconds: float = 0.0
    cycle_minutes: float = 0.0
    origin: str = "random weights"

    @property
    def fraction(self) -> float:
        """Share of the present cycle that is done, in [0, 1]."""
        return min(1.0, self.cycle_seconds / (60.0 * self.cycle_minutes)) if self.cycle_minutes else 1.0

    def begin_cycle(self, minutes: float) -> None:
        """Start a warm restart of so many minutes."""
        self.cycle_step, self.cycle_seconds, self.cycle_minutes = self.step, 0.0, minutes


@dataclass(slots=True)
class Trainee:
    """The modules of a run with their optimisers, their average, and its progress."""

    transformer: Transformer
    optimisers: list[torch.optim.Optimizer]
    ema: Ema
    progress: Progress = field(default_factory=Progress)

    def save(self, path: Path) -> None:
        """Write the state beside `path` and rename it, so that a crash leaves the old state or the new one."""
        state = {
            "transformer": self.transformer.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "ema": self.ema.values,
            "ema_updates": self.ema.updates,
            "progress": asdict(self.progress),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Take up a saved state.

        Raises:
            FailureError: the file is damaged, or belongs to another architecture.
        """
        try:
            state = _read(path)
            self.transformer.load_state_dict(state["transformer"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            for name, value in state["ema"].items():
                self.ema.values[name].copy_(value)
            self.ema.updates = state["ema_updates"]
            self.progress = Progress(**state["progress"])
        except _UNFIT as error:
            raise _unfit(path, error) from error


def read_average(path: Path) -> tuple[dict[str, Tensor], Progress]:
    """The averaged weights in a saved state, which are those that count, and how far the run was.

    Raises:
        FailureError: the file is damaged.
    """
    try:
        state = _read(path)
        return state["ema"], Progress(**state["progress"])
    except _UNFIT as error:
        raise _unfit(path, error) from error


_UNFIT: Final = (RuntimeError, KeyError, TypeError, ValueError, EOFError, OSError, pickle.UnpicklingError)


def _read(path: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _unfit(path: Path, error: Exception) -> FailureError:
    return FailureError(
        f"{path} is not a training state that fits this recipe ({error}). "
        "Move it away to start from the shipped weights, or use the recipe that wrote it."
    )
