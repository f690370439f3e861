"""`kinemark evaluate`: how well does a model do what it is told?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.output import Json, err, out, print_json
from kinemark.errors import RequestError


def evaluate(
    model: Annotated[str, typer.Argument(help="The model to measure.")] = "spark",
    prompts: Annotated[int | None, typer.Option(help="Plain prompts.", show_default="300")] = None,
    held_out: Annotated[int | None, typer.Option(help="Held-out prompts.", show_default="100")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder that keeps finished batches, to go on later.")] = None,
    page: Annotated[Path | None, typer.Option(help="Folder for a page with figures and contact sheet.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the header of the weights.")] = False,
    json: Json = False,
) -> None:
    """Make clips of prompts whose truth is known, read them with the probe, and compare.

    Under torchrun, several processes share the prompts: torchrun --nproc-per-node 2 --no-python kinemark evaluate ...
    """
    for name, value in (("--prompts", prompts), ("--held-out", held_out)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}; give a whole number of at least 1")
    if record and not model.endswith(".safetensors"):
        raise RequestError(f"--record writes into a file of weights; {model!r} is a name, give the path of the file")

    from rich.progress import Progress

    from kinemark.model.load import load_model, record_metrics
    from kinemark.training.evaluate import Evaluation
    from kinemark.training.evaluate import evaluate as measure
    from kinemark.training.report import write_page
    from kinemark.training.together import join

    plan = Evaluation()
    plan = replace(plan, n=prompts or plan.n, held_out=held_out or plan.held_out)
    console, together = err(), join()
    with Progress(console=console, transient=True, disable=not (console.is_terminal and together.leads)) as bar:
        task = bar.add_task("evaluating", total=None)
        report = measure(
            load_model(model),
            plan=plan,
            work=work,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
            together=together,
        )
    if not together.leads:
        return
    if page:
        write_page(report, page)
    if record:
        record_metrics(Path(model), report.metrics())
    if json:
        print_json(report.to_dict())
        return
    answer = out()
    for title, shares in ((f"{model}, as trained", report.adherence), ("held-out compositions", report.held_out)):
        answer.print(f"{title}: share right (95 % interval)")
        for name, share in shares.items():
            low, high = share.interval
            answer.print(f"  {name:<12} {share.rate:6.1%}  ({low:.1%} to {high:.1%}, n = {share.n})")
    if page:
        answer.print(f"page: {page}", soft_wrap=True)
