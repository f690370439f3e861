"""Models by name: spark, what was pulled or imported of the Wan family, and files of weights that training wrote."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kinemark import spark
from kinemark.errors import RequestError
from kinemark.model.quantised import KINDS
from kinemark.sampling.methods import METHODS
from kinemark.sampling.streaming import with_steps
from kinemark.settings import load_settings
from kinemark.wan.releases import RELEASES
from kinemark.wan.store import installed, record_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinemark.engine import Model
    from kinemark.model.quantised import Kind
    from kinemark.sizes import Target
    from kinemark.timeline import Timeline
    from kinemark.wan.estimate import Estimate
    from kinemark.wan.releases import Release


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be asked for: what a request has to know of it, and how it is loaded."""

    target: Target
    load: Callable[[], Model]
    estimate: Callable[[Timeline, int | None], Estimate] | None = None
    """What a clip in so many steps would take, where that is worth asking."""
    weights: int | None = None
    """Bytes of its weights on a device; None where it is so small that any has room."""


KNOWN: Final = {"spark": Entry(spark.TARGET, spark.load_spark)}
"""What is always here, by name."""


def find_model(name: str) -> Entry:
    """A model by its name, or a file of weights (`*.safetensors`) that training wrote; nothing is loaded yet.

    Raises:
        RequestError: there is no model of this name.
        FailureError: what is known of it on this machine is damaged.
    """
    if name.endswith(".safetensors"):
        return Entry(spark.TARGET, lambda: spark.load_file(Path(name)))
    if name in KNOWN:
        return KNOWN[name]
    models = load_settings().models_dir
    here = installed(models)
    if name in here:
        release = RELEASES[here[name].release]
        estimate = partial(_estimate, release, here=True)
        return Entry(release.target, partial(_load, release, models / name), estimate, _weights(release))
    if name in RELEASES:
        release = RELEASES[name]
        estimate = partial(_estimate, release, here=False)
        return Entry(release.target, partial(_not_here, name), estimate, _weights(release))
    names = [*KNOWN, *here, *RELEASES]
    near = get_close_matches(name, names, n=3)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise RequestError(f"unknown model {name!r}{meant}; the models are: {', '.join(dict.fromkeys(names))}, or a file")


def _not_here(name: str) -> Model:
    raise RequestError(f"{name} is not on this machine; bring it here: kinemark models pull {name}")


def _estimate(release: Release, timeline: Timeline, steps: int | None, *, here: bool) -> Estimate:
    try:
        from kinemark.wan.estimate import estimate
    except ModuleNotFoundError as error:
        raise RequestError(without_packages("an estimate", error)) from error
    return estimate(release, timeline, with_steps(METHODS[release.method], steps), here=here, kind=_kind())


def _load(release: Release, folder: Path) -> Model:
    try:
        from kinemark.wan.load import load_wan
    except ModuleNotFoundError as error:
        raise RequestError(without_packages(folder.name, error)) from error

    base = folder
    if not (folder / "vae").is_dir():  # a checkpoint is a transformer and nothing else
        base = folder.parent / (release.base or release.name)
        if base.name not in installed(folder.parent):
            raise RequestError(
                f"{folder.name} uses the text encoder and the autoencoder of {base.name}, which is not on this "
                f"machine; bring it here: kinemark models pull {base.name}"
            )
    return load_wan(release, folder, base, record_of(folder).digest, name=folder.name, kind=_kind())


def _weights(release: Release) -> int:
    """Bytes of a release's transformers and what is around them; text is read before they are there."""
    kind = _kind()
    return release.parameters * (kind.dtype.itemsize if kind else 2)


def _kind() -> Kind | None:
    """Into which numbers this installation quantises weights; None where it leaves them as they are."""
    name = load_settings().weights
    return KINDS[name] if name else None


def without_packages(what: str, error: ModuleNotFoundError) -> str:
    """What to say where the packages that the Wan family needs are not installed."""
    return f"{what} needs {error.name}, which is not installed; install it: pip install 'kinemark[wan]'"


def load_model(name: str) -> Model:
    """Load a model by its name or file.

    Raises:
        RequestError: there is no model of this name.
        FailureError: its weights are missing or damaged.
    """
    return find_model(name).load()
