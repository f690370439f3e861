"""`kinemark evaluate`: how well does a model do what it is told, and what does it do with what it is given?"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.output import Json, err, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kinemark.together import Together
    from kinemark.training.summary import Report

#: What `--verbs` takes for each of them.
_ALL = "all"


def evaluate(
    model: Annotated[str, typer.Argument(help="The model to measure.")] = "spark",
    prompts: Annotated[int | None, typer.Option(help="Plain prompts.", show_default="300")] = None,
    held_out: Annotated[int | None, typer.Option(help="Held-out prompts.", show_default="100")] = None,
    verbs: Annotated[
        list[str] | None,
        typer.Option(help="Measure this verb instead (animate, extend, loop, minute, ... or all); may be repeated."),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Trials of each verb.", show_default="100")] = None,
    work: Annotated[Path | None, typer.Option(help="Folder that keeps what is finished, to go on later.")] = None,
    page: Annotated[Path | None, typer.Option(help="Folder for a page with figures and contact sheet.")] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the figures into the header of the weights.")] = False,
    json: Json = False,
) -> None:
    """Make clips whose truth is known, read them with the probe, and compare.

    Under torchrun, several processes share the work: torchrun --nproc-per-node 2 --no-python kinemark evaluate ...
    """
    for name, value in (("--prompts", prompts), ("--held-out", held_out), ("--trials", trials)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}; give a whole number of at least 1")
    if record and not model.endswith(".safetensors"):
        raise RequestError(f"--record writes into a file of weights; {model!r} is a name, give the path of the file")
    if verbs and (record or prompts or held_out):
        raise RequestError("--verbs measures verbs, not prompts; leave out --prompts, --held-out and --record")
    if trials and not verbs:
        raise RequestError("--trials says how many of each verb; name the verbs: --verbs all")
    from kinemark.together import join

    if verbs:
        _of_verbs(model, verbs, trials or 100, work, page, json=json, together=join())
    else:
        _of_prompts(model, prompts, held_out, work, page, record=record, json=json, together=join())


def _of_prompts(
    model: str,
    prompts: int | None,
    held_out: int | None,
    work: Path | None,
    page: Path | None,
    *,
    record: bool,
    json: bool,
    together: Together,
) -> None:
    from kinemark.model.load import load_networks, record_metrics
    from kinemark.training.evaluate import Evaluation
    from kinemark.training.evaluate import evaluate as measure
    from kinemark.training.report import write_page

    plan = Evaluation()
    plan = replace(plan, n=prompts or plan.n, held_out=held_out or plan.held_out)
    with _bar(together) as progress:
        report = measure(load_networks(model), plan=plan, work=work, progress=progress, together=together)
    if not together.leads:
        return
    if page:
        write_page(report, page)
    if record:
        record_metrics(Path(model), report.metrics())
    if json:
        print_json(report.to_dict())
    else:
        _print_shares(model, report)
        _print_page(page)


def _of_verbs(
    model: str,
    verbs: Sequence[str],
    trials: int,
    work: Path | None,
    page: Path | None,
    *,
    json: bool,
    together: Together,
) -> None:
    from kinemark.model.load import load_networks
    from kinemark.training.verb_report import summary, told, write_verbs
    from kinemark.training.verbs import TRIALS, measure

    chosen = list(TRIALS) if _ALL in verbs else list(dict.fromkeys(verbs))
    if unknown := [verb for verb in chosen if verb not in TRIALS]:
        raise RequestError(f"--verbs is {unknown[0]!r}; allowed: {_ALL}, {', '.join(TRIALS)}")
    with _bar(together) as progress:
        found = measure(load_networks(model), chosen, trials, work=work, progress=progress, together=together)
    if not together.leads:
        return
    if page:
        write_verbs(found, page)
    if json:
        print_json({verb: {figure.name: figure.to_dict() for figure in summary(own)} for verb, own in found.items()})
    else:
        for line in told(found):
            out().print(line, soft_wrap=True)
        _print_page(page)


@contextmanager
def _bar(together: Together) -> Iterator[Callable[[int, int], None]]:
    """A bar for the people who watch, and what has to be told for it."""
    from rich.progress import Progress

    console = err()
    with Progress(console=console, transient=True, disable=not (console.is_terminal and together.leads)) as bar:
        task = bar.add_task("evaluating", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_shares(model: str, report: Report) -> None:
    answer = out()
    for title, shares in ((f"{model}, as trained", report.adherence), ("held-out compositions", report.held_out)):
        answer.print(f"{title}: share right (95 % interval)", soft_wrap=True)
        for name, share in shares.items():
            answer.print(f"  {name:<12} {share}")


def _print_page(page: Path | None) -> None:
    if page:
        out().print(f"page: {page}", soft_wrap=True)
