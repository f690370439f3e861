"""spark from beginning to end: text encoder, transformer, upsampler, and one file that can be used.

A run is a folder. What it does not hold yet is taken from the weights that ship, and trained if there are none.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safetensors.torch import load_file

from kinemark.data.manifest import require_manifest
from kinemark.errors import FailureError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.load import WEIGHTS, Origin, read_model, save_model
from kinemark.model.transformer import Transformer
from kinemark.training.degrade import DenoisedOnce
from kinemark.training.loop import train
from kinemark.training.observe import SheetObserver
from kinemark.training.state import require_minutes
from kinemark.training.text import TextRecipe, load_text_encoder, save_text_encoder, text_accuracy, train_text_encoder
from kinemark.training.upsampler import train_upsampler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from kinemark.model.text import TextEncoder
    from kinemark.training.loop import Observer
    from kinemark.training.recipes import Recipe
    from kinemark.training.state import Trainee

#: What the parts of a run are called in its folder.
TEXT_FILE: Final = "text.safetensors"
UPSAMPLER_FILE: Final = "upsampler.safetensors"
SPARK_FILE: Final = "spark.safetensors"
SHIPPED: Final = WEIGHTS / SPARK_FILE


#: Share of the minutes that the upsampler gets, learning from what the transformer has become.
UPSAMPLER_SHARE: Final = 0.12


def train_spark(
    recipe: Recipe,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    observe: Observer | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Train for so many minutes, starting from the run in `out` or from the weights that ship; return the new weights.

    A run that was interrupted goes on where it was. Each further call is a warm restart that adds to what is there.

    Args:
        recipe: of the transformer.
        out: folder of the run; `out/spark.safetensors` is the result.
        minutes: for transformer and upsampler together, more than 0. A text encoder, if there is none, comes before.
        seed: of a new run.
        observe: looks at the transformer's run; draws contact sheets by default.
        report: told what is going on.

    Raises:
        RequestError: minutes are not a positive number.
        FailureError: the training data has no manifest that fits, or a part of the run is damaged.
    """
    require_minutes(minutes)
    manifest = require_manifest()
    out.mkdir(parents=True, exist_ok=True)
    if not (SHIPPED.is_file() or (out / TEXT_FILE).is_file()):
        report("training the text encoder")
        text_recipe = TextRecipe()
        encoder = train_text_encoder(text_recipe, report)
        save_text_encoder(out / TEXT_FILE, encoder, text_recipe, text_accuracy(encoder))
    report("training the transformer")
    trainee = train(
        recipe,
        out,
        minutes=minutes * (1 - UPSAMPLER_SHARE),
        start=shipped_transformer(recipe),
        seed=seed,
        observe=observe or SheetObserver(),
    )
    report("training the upsampler")
    network = averaged(trainee, recipe)
    train_upsampler(
        minutes * UPSAMPLER_SHARE,
        out / UPSAMPLER_FILE,
        degrade=DenoisedOnce(network, find_text(out)),
        start=shipped_upsampler(),
    )
    return assemble(trainee, recipe, out, manifest.sources[0].generator_sha256, metrics={})


def averaged(trainee: Trainee, recipe: Recipe) -> Transformer:
    """The transformer with the averaged weights of a run, for inference on the CPU."""
    transformer = Transformer(recipe.config)
    transformer.load_state_dict(trainee.ema.values)
    return transformer.eval().requires_grad_(requires_grad=False)


def shipped_transformer(recipe: Recipe) -> dict[str, Tensor] | None:
    """The weights to start from: those that ship, if there are any and they fit the recipe."""
    if not SHIPPED.is_file():
        return None
    shipped = read_model(SHIPPED, "spark")
    return shipped.transformer.state_dict() if shipped.config == recipe.config else None


def shipped_upsampler() -> dict[str, Tensor] | None:
    """The upsampler that ships, if there is one."""
    return read_model(SHIPPED, "spark").autoencoder.state_dict() if SHIPPED.is_file() else None


def find_text(out: Path) -> TextEncoder:
    """The text encoder of a run, else the one that ships.

    Raises:
        FailureError: there is neither.
    """
    if (out / TEXT_FILE).is_file():
        return load_text_encoder(out / TEXT_FILE)
    if SHIPPED.is_file():
        return read_model(SHIPPED, "spark").text
    raise FailureError(f"no text encoder in {out}; begin the run anew: kinemark train spark --out {out}")


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
    raise FailureError(f"no upsampler in {out}; begin the run anew: kinemark train spark --out {out}")


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
    progress = trainee.progress
    origin = Origin(
        recipe=f"{recipe.name}, {progress.step} steps, {progress.clips} clips, {progress.seconds / 60:.0f} minutes",
        commit=_commit(),
        data_hash=data_hash,
        metrics=dict(metrics),
    )
    path = out / SPARK_FILE
    parts = averaged(trainee, recipe), find_text(out), find_upsampler(out)
    save_model(path, transformer=parts[0], text=parts[1], upsampler=parts[2], origin=origin)
    return path


def _commit() -> str:
    """The commit of the code, or "unknown" outside a repository."""
    command = ("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
