"""`kinemark evaluate`: how well does a model do what it is told?"""

from __future__ import annotations

from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json


def evaluate(
    model: Annotated[str, typer.Argument(help="The model to measure.")] = "spark",
    json: Json = False,
) -> None:
    """Make clips of prompts whose truth is known, read them with the probe, and compare."""
    from kinemark.model.load import load_model
    from kinemark.training.evaluate import evaluate as measure

    report = measure(load_model(model))
    if json:
        print_json(report.to_dict())
        return
    console = out()
    console.print(f"{model}: {report.n} prompts, share right (95 % interval)")
    for title, shares in (("as trained", report.adherence), ("held-out compositions", report.held_out)):
        console.print(f"{title}:")
        for name, share in shares.items():
            low, high = share.interval
            console.print(f"  {name:<12} {share.rate:6.1%}  ({low:.1%} to {high:.1%}, n = {share.n})")
