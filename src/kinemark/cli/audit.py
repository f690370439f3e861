"""`kinemark audit`: who and what is shown when nobody says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinemark.cli.output import Json, err, out, print_json, write_text
from kinemark.errors import RequestError


def audit(
    labels: Annotated[
        Path | None, typer.Argument(help="Labels of clips: CSV with prompt, attribute, value.", show_default="spark")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="What is expected: CSV with attribute, value, share.")] = None,
    clips: Annotated[int, typer.Option(help="How many clips spark makes, where no labels are given.")] = 100,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report to a Markdown file.")] = None,
    json: Json = False,
) -> None:
    """Compare what a model shows, where prompts leave it open, with a stated reference.

    Without labels, spark makes clips and the probe reads them; the reference is the world that it learnt from.
    """
    from kinemark.safety.audit import as_json, as_page, read_labels, read_reference
    from kinemark.safety.audit import audit as compare

    if labels is not None and reference is None:
        raise RequestError("labels need a reference to be compared with: --reference FILE")
    if clips < 1:
        raise RequestError(f"--clips is {clips}; give a whole number of at least 1")
    if labels is not None and reference is not None:
        found = compare(read_labels(labels), read_reference(reference))
    else:
        from rich.progress import Progress

        from kinemark.model.load import load_networks
        from kinemark.training.left_open import expected, labelled

        console = err()
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("making clips", total=clips)
            seen = labelled(load_networks("spark"), clips, progress=lambda done, _: bar.update(task, completed=done))
        found = compare(seen, read_reference(reference) if reference else expected())
    if output is not None:
        write_text(output, as_page(found))
    if json:
        print_json(as_json(found))
    else:
        out().print(as_page(found), soft_wrap=True)
