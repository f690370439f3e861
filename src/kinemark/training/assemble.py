"""From a run to a file that can be used: the averaged weights, the text encoder and the upsampler in one."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors.torch import load_file

from kinemark.errors import FailureError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.load import WEIGHTS, Origin, read_model, save_model
from kinemark.model.transformer import Transformer
from kinemark.training.text import load_text_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from kinemark.model.text import TextEncoder
    from kinemark.training.recipes import Recipe
    from kinemark.training.state import Trainee

#: What the parts of a run are called in its folder.
TEXT_FILE: Final = "text.safetensors"
UPSAMPLER_FILE: Final = "upsampler.safetensors"
SPARK_FILE: Final = "spark.safetensors"
SHIPPED: Final = WEIGHTS / SPARK_FILE


def shipped_transformer(recipe: Recipe) -> Mapping[str, Tensor] | None:
    """The weights to start from: those that ship, if there are any and they fit the recipe."""
    if not SHIPPED.is_file():
        return None
    shipped = read_model(SHIPPED, "spark")
    return shipped.transformer.state_dict() if shipped.config == recipe.config else None


def find_text(out: Path) -> TextEncoder:
    """The text encoder of a run, else the one that ships.

    Raises:
        FailureError: there is neither.
    """
    if (out / TEXT_FILE).is_file():
        return load_text_encoder(out / TEXT_FILE)
    if SHIPPED.is_file():
        return read_model(SHIPPED, "spark").text
    raise FailureError(f"no text encoder in {out}; train one first: kinemark train text --out {out}")


def find_upsampler(out: Path) -> Upsampler:
    """The upsampler of a run, else the one that ships.

    Raises:
        FailureError: there is neither, or it is damaged.
    """
    if (out / UPSAMPLER_FILE).is_file():
        upsampler = Upsampler(UpsamplerConfig())
        try:
            upsampler.load_state_dict(load_file(out / UPSAMPLER_FILE))
        except (RuntimeError, OSError) as error:
            raise FailureError(f"{out / UPSAMPLER_FILE} does not fit this version ({error}); train it again") from error
        return upsampler.eval()
    if SHIPPED.is_file():
        return read_model(SHIPPED, "spark").autoencoder
    raise FailureError(f"no upsampler in {out}; train one first: kinemark train upsampler --out {out}")


def assemble(trainee: Trainee, recipe: Recipe, out: Path, data_hash: str, metrics: Mapping[str, float]) -> Path:
    """Write `out/spark.safetensors` and return its path.

    Args:
        trainee: the run; its averaged weights are the ones that count.
        recipe: goes into the header.
        out: folder of the run, with the text encoder and the upsampler if they are newer than the shipped ones.
        data_hash: of the training data's manifest.
        metrics: what was measured on these weights.

    Raises:
        FailureError: a part is missing, or the disk does not take the file.
    """
    transformer = Transformer(recipe.config)
    transformer.load_state_dict(trainee.ema.values)
    progress = trainee.progress
    origin = Origin(
        recipe=f"{recipe.name}, {progress.step} steps, {progress.clips} clips, {progress.seconds / 60:.0f} minutes",
        commit=_commit(),
        data_hash=data_hash,
        metrics=dict(metrics),
    )
    path = out / SPARK_FILE
    save_model(path, transformer=transformer, text=find_text(out), upsampler=find_upsampler(out), origin=origin)
    return path


def _commit() -> str:
    """The commit of the code, or "unknown" outside a repository."""
    command = ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
