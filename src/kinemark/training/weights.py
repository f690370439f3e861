"""The files of small networks in a run's folder: float32 safetensors, with how they were made in the header."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from safetensors import safe_open
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from _typeshed import DataclassInstance
    from torch import Tensor


class Network(Protocol):
    """A module that knows its configuration."""

    @property
    def config(self) -> DataclassInstance:
        """Sizes, as a dataclass."""

    def state_dict(self) -> dict[str, Tensor]:
        """The weights."""

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> object:
        """Take weights."""

    def eval(self) -> Any:  # noqa: ANN401  a module's
        """Be ready to be used."""


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


def save_weights(path: Path, network: Network, recipe: DataclassInstance, **facts: object) -> None:
    """Write a network; the header says its configuration, its recipe and further facts, all in JSON."""
    told = {"config": asdict(network.config), "recipe": asdict(recipe), **facts}
    save_file(network.state_dict(), path, {name: json.dumps(value) for name, value in told.items()})


def load_weights(path: Path, build: Callable[[dict[str, Any]], AnyNetwork]) -> AnyNetwork:
    """Read what `save_weights` wrote, ready to be used.

    Args:
        path: of the file.
        build: the network with this configuration, as JSON gives it.
    """
    with safe_open(path, framework="pt") as file:
        network = build(json.loads(file.metadata()["config"]))
    network.load_state_dict(load_file(path))
    network.eval()
    return network
