"""Models by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinemark import spark
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kinemark.engine import Model, Target


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be asked for: what a request has to know of it, and how it is loaded."""

    target: Target
    load: Callable[[], Model]


KNOWN: Final[Mapping[str, Entry]] = {"spark": Entry(spark.TARGET, spark.load_spark)}
"""Every model that can be asked for by name."""


def find_model(name: str) -> Entry:
    """A model by its name, or a file of weights (`*.safetensors`) that training wrote; nothing is loaded yet.

    Raises:
        RequestError: there is no model of this name.
    """
    if name.endswith(".safetensors"):
        return Entry(spark.TARGET, lambda: spark.load_file(Path(name)))
    if name not in KNOWN:
        raise RequestError(f"unknown model {name!r}; the models are: {', '.join(KNOWN)}, or a file of weights")
    return KNOWN[name]


def load_model(name: str) -> Model:
    """Load a model by its name or file.

    Raises:
        RequestError: there is no model of this name.
        FailureError: its weights are missing or damaged.
    """
    return find_model(name).load()
