"""`kinemark train`: go on with a model, or begin one."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import Annotated

import typer

from kinemark.cli.output import Json, err, out, print_json
from kinemark.errors import RequestError


def train(
    model: Annotated[str, typer.Argument(help="The model to train: spark.", show_default=False)],
    minutes: Annotated[float, typer.Option(help="How long this cycle lasts.", show_default=False)],
    output: Annotated[Path, typer.Option("--out", help="Folder of the run: state, log, sheets.", show_default=False)],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    seed: Annotated[int, typer.Option(help="Of a new run.")] = 0,
    json: Json = False,
) -> None:
    """Train a model on the rendered worlds. A run that was stopped goes on exactly where it was."""
    from kinemark.training.loop import STATE_FILE

    if model != "spark":
        raise RequestError(f"cannot train {model!r}; spark can be trained")
    begun = (output / STATE_FILE).exists()
    if begun and not resume:
        raise RequestError(f"{output} holds a run; add --resume to go on with it, or choose another folder")
    if resume and not begun:
        raise RequestError(f"{output} holds no run to resume; leave out --resume to begin one")

    import torch

    from kinemark.training.recipes import spark_cpu, spark_gpu
    from kinemark.training.spark import train_spark

    recipe = spark_gpu() if torch.cuda.is_available() else spark_cpu()
    err().print(f"recipe {recipe.name}: {minutes:g} minutes into {output} (Ctrl-C keeps what was learnt)")
    weights = train_spark(recipe, output, minutes=minutes, seed=seed, report=err().print)
    if json:
        print_json({"recipe": recipe.name, "out": str(output), "weights": str(weights)})
        return
    out().print(f"{weights}\nMeasure them: kinemark evaluate {weights}", soft_wrap=True)
