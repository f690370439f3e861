"""`kinemark train`: go on with a model, or begin one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.output import Json, err, out, print_json
from kinemark.errors import RequestError


def train(
    model: Annotated[str, typer.Argument(help="The model to train: spark.", show_default=False)],
    minutes: Annotated[float, typer.Option(help="How long this cycle lasts.", show_default=False)],
    output: Annotated[Path, typer.Option("--out", help="Folder of the run: state, log, sheets.", show_default=False)],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in that folder.")] = False,
    part: Annotated[
        list[str] | None, typer.Option(help="Only this: scene, detail or upsampler. May be given more than once.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of a new run.")] = 0,
    json: Json = False,
) -> None:
    """Train a model on the rendered worlds. A run that was stopped goes on exactly where it was.

    Under torchrun, several processes train together: torchrun --nproc-per-node 2 --no-python kinemark train ...
    """
    from kinemark.training.spark import Part, begun, train_spark

    if model != "spark":
        raise RequestError(f"cannot train {model!r}; spark can be trained")
    unknown = [name for name in part or [] if name not in list(Part)]
    if unknown:
        raise RequestError(f"spark has no part {unknown[0]!r}; its parts are: {', '.join(Part)}")
    parts = [Part(name) for name in part] if part else list(Part)
    there = begun(output, parts)
    if there and not resume:
        raise RequestError(f"{output} holds a run; add --resume to go on with it, or choose another folder")
    if resume and not there:
        raise RequestError(f"{output} holds no run to resume; leave out --resume to begin one")

    import torch

    from kinemark.together import join
    from kinemark.training.recipes import spark_cpu, spark_gpu

    recipe, together = spark_gpu() if torch.cuda.is_available() else spark_cpu(), join()
    if together.leads:
        err().print(f"recipe {recipe.name}: {minutes:g} minutes into {output} (Ctrl-C keeps what was learnt)")
    weights = train_spark(
        recipe, output, minutes=minutes, parts=parts, seed=seed, report=err().print, together=together
    )
    if json and together.leads:
        print_json({"recipe": recipe.name, "out": str(output), "weights": str(weights) if weights else None})
    elif weights:
        out().print(f"{weights}\nMeasure them: kinemark evaluate {weights}", soft_wrap=True)
