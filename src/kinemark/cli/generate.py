"""`kinemark generate`: video from a sentence."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinemark.cli.output import Json, err, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from rich.console import Console

    from kinemark.generate import Clip
    from kinemark.model.text import Reading
    from kinemark.provenance.release import Released


def generate(
    prompt: Annotated[str, typer.Argument(help="What the clip shows.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .mp4 file to write.", show_default=False)],
    seconds: Annotated[float, typer.Option(help="Length, or what --extend adds; up to 60.")] = 4.0,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.", show_default="256x256")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same clip.", show_default="random")] = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.", show_default="the model's")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="How closely to follow the prompt.", show_default="2.75")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="A picture to animate: the first frame.")] = None,
    extend: Annotated[Path | None, typer.Option(help="A clip to continue.")] = None,
    model: Annotated[str, typer.Option(help="See: kinemark info.")] = "spark",
    embed_prompt: Annotated[bool, typer.Option("--embed-prompt", help="Write the prompt into the file.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    json: Json = False,
) -> None:
    """Make a marked and signed clip from a sentence."""
    _require_target(output, force=force)
    from kinemark.cli.given import timeline_for
    from kinemark.cli.progress import shown
    from kinemark.generate import generate as make
    from kinemark.provenance.signing.credits import Credits
    from kinemark.sampling.guidance import GUIDANCE
    from kinemark.settings import load_settings

    rights = Credits.installed(load_settings())
    timeline = timeline_for(prompt, seconds, size, image, extend)
    console = err()
    with shown(console) if console.is_terminal else nullcontext(None) as progress:
        scale = GUIDANCE if guidance is None else guidance
        clip = make(timeline, model=model, seed=seed, steps=steps, guidance=scale, progress=progress)
    released = clip.save(output, write_prompt=embed_prompt, credits=rights)
    if json:
        print_json(_facts(clip, released))
        return
    console = out()
    if (decided := clip.decision.deciding).action == "rewrite":
        console.print(f"Made in other words: {clip.prompt}\n  {decided.reason}")
    for noted in dict.fromkeys(one.reason for one in clip.decision.judgements if one.action == "label"):
        console.print(f"Note: {noted}", soft_wrap=True)
    for reading in clip.understood:
        _explain(reading, clip.model, console)
    console.print(f"{released.path} (id {released.id}, seed {clip.seed})", soft_wrap=True)


def _require_target(output: Path, *, force: bool) -> None:
    """Find out before the work, and not after it, that the file cannot be written."""
    if output.suffix.lower() != ".mp4":
        raise RequestError(
            f"the file is to be named {output.name!r}; videos are written as .mp4, so give it that ending"
        )
    if not output.parent.is_dir():
        raise RequestError(f"there is no folder {output.parent}; make it (mkdir -p {output.parent}) or choose another")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise RequestError(f"the folder {output.parent} cannot be written to; change its rights or choose another")
    if output.is_dir():
        raise RequestError(f"{output} is a folder; give the name of a file")
    if output.exists() and not force:
        raise RequestError(f"{output} exists, and its clip may be the only one; choose another name, or add --force")


def _explain(reading: Reading, model: str, console: Console) -> None:
    """What was understood of a prompt, what was not, and what to do about it."""
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in reading.said.items())
    console.print(f"Understood: {said or 'nothing; the model made up the scene'}")
    if not reading.unknown:
        return
    words = ", ".join(
        f"{unknown.word} (did you mean {unknown.suggestion}?)" if unknown.suggestion else unknown.word
        for unknown in reading.unknown
    )
    console.print(f"Not understood: {words}")
    console.print(
        f"{model} knows a small world: kinemark info lists it. A larger model knows more: choose one with --model."
    )


def _facts(clip: Clip, released: Released) -> dict[str, Any]:
    height, width = clip.frames_THWC.shape[1:3]
    return {
        "path": str(released.path),
        "id": released.id,
        "sha256": released.sha256,
        "model": clip.model,
        "seed": clip.seed,
        "size": f"{width}x{height}",
        "fps": clip.fps,
        "frames": len(clip.frames_THWC),
        "understood": [
            {"said": reading.said, "unknown": [unknown.word for unknown in reading.unknown]}
            for reading in clip.understood
        ],
        "prompt": clip.prompt,
        "action": clip.decision.deciding.action,
        "labels": [rule for _, rule in clip.decision.labels],
        "policy_version": clip.decision.policy_version,
    }
