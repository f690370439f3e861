"""What every verb that makes a clip has in common: its options, and what it tells.

A verb is a function that turns its own arguments into a `Request`; `makes_clips` gives it the rest.
"""

from __future__ import annotations

import inspect
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from kinemark.cli.output import Json, err, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from kinemark.assistants import Expand
    from kinemark.catalogue import Entry
    from kinemark.clips import Take
    from kinemark.model.text import Reading
    from kinemark.provenance.release import Released
    from kinemark.settings import Settings
    from kinemark.timeline import Timeline

#: What `--stream` may be given: the pipe that a player reads.
STDOUT = "-"


@dataclass(frozen=True, slots=True)
class Request:
    """What a verb asks for, and what was done to get there.

    Attributes:
        timeline: what is asked.
        notes: what a person has to be told before it is made.
        expand: whether prompts are said at length first.
    """

    timeline: Timeline
    notes: tuple[str, ...] = field(default=())
    expand: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """The options that every verb has; the texts are its help."""

    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write.", show_default=False)] = None
    stream: Annotated[
        str | None, typer.Option(help="- plays while it is made: fragmented MP4 to stdout, marked, unsigned.")
    ] = None
    seed: Annotated[int | None, typer.Option(help="The same seed makes the same clip.", show_default="random")] = None
    steps: Annotated[int | None, typer.Option(help="Solver steps.", show_default="the model's")] = None
    model: Annotated[str, typer.Option(help="See: kinemark info.")] = "spark"
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and make nothing.")] = False
    embed_prompt: Annotated[bool, typer.Option("--embed-prompt", help="Write the prompt into the file.")] = False
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False
    json: Json = False


def makes_clips(verb: Callable[..., Request], suffix: str = ".mp4") -> Callable[..., None]:
    """A command with the arguments of `verb` and the options that all have; it makes what the verb asks for.

    Args:
        verb: turns what the model makes, its first argument, and its own into a request.
        suffix: what the file's name has to end in.
    """
    hints = get_type_hints(Common, include_extras=True)
    common = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in fields(Common)
    ]
    own = inspect.signature(verb, eval_str=True)
    asked = list(own.parameters.values())[1:]

    @wraps(verb)
    def command(**arguments: Any) -> None:  # noqa: ANN401  (whatever the verb's are)
        options = Common(**{name: arguments.pop(name) for name in hints})
        if not options.dry_run:
            _require_target(options, suffix)
        from kinemark.catalogue import find_model

        entry = find_model(options.model)
        request = verb(entry.target, **arguments)
        if options.dry_run:
            _foretell(entry, request, options)
        else:
            _make(request, options)

    command.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*asked, *common], return_annotation=None
    )
    command.__annotations__ = {p.name: p.annotation for p in (*asked, *common)}
    return command


def _foretell(entry: Entry, request: Request, options: Common) -> None:
    """What making it would take; no prompt is judged, for nothing is made."""
    from kinemark.generate import check_target

    check_target(request.timeline, entry.target, options.model)
    if entry.estimate is None:
        told = f"{options.model} takes half a gigabyte of memory, and on two cores about as long as the clip lasts."
        facts: dict[str, Any] = {"model": options.model, "told": told}
    else:
        estimate = entry.estimate(request.timeline, options.steps)
        told, facts = f"{options.model}: {estimate}", {"model": options.model, **asdict(estimate)}
    if options.json:
        print_json(facts)
        return
    out().print(told, soft_wrap=True)


def _make(request: Request, options: Common) -> None:
    from kinemark.cli.progress import shown
    from kinemark.generate import begin
    from kinemark.provenance.preview import PreviewStream
    from kinemark.provenance.signing.credits import Credits
    from kinemark.provenance.signing.keys import require_keys
    from kinemark.settings import load_settings
    from kinemark.together import join

    settings, together = load_settings(), join()
    rights = Credits.installed(settings)
    console = err()
    for note in request.notes:
        console.print(f"Note: {note}", soft_wrap=True)
    with ExitStack() as stack:
        watched = console.is_terminal and together.leads
        progress = stack.enter_context(shown(console)) if watched else None
        take = begin(
            request.timeline,
            model=options.model,
            seed=options.seed,
            steps=options.steps,
            progress=progress,
            expand=_expander(request, settings),
        )
        if not together.leads:
            take.follow()
            return
        if request.expand:
            console.print(f"Said at length: {take.prompt}", soft_wrap=True)
        send = None
        if options.stream:
            keys = require_keys(settings.keys_dir)
            send = stack.enter_context(PreviewStream(sys.stdout.buffer, take.size, take.gate, keys)).send
        released = None
        if options.output:
            released = take.save(options.output, write_prompt=options.embed_prompt, credits=rights, meanwhile=send)
        else:
            for block_THWC in take.blocks():
                assert send is not None
                send(block_THWC)
    if options.json:
        print_json(_facts(take, released, request.notes))
        return
    _tell(take, released, err() if options.stream else out())


def _expander(request: Request, settings: Settings) -> Expand | None:
    if not request.expand:
        return None
    from kinemark.expanding import expander_of

    return expander_of(settings)


def _require_target(options: Common, suffix: str) -> None:
    """Find out before the work, and not after it, that nothing can be written."""
    if options.stream not in (None, STDOUT):
        raise RequestError(f"--stream is {options.stream!r}; write --stream - and have a player read stdout")
    if options.stream and sys.stdout.isatty():
        raise RequestError("--stream - writes video to stdout, which is a terminal; add: | ffplay -")
    if options.stream and options.json:
        raise RequestError("--stream and --json both write to stdout; leave one of them out")
    output = options.output
    if output is None:
        if options.stream is None:
            raise RequestError(f"nowhere to write to; name a file with -o NAME{suffix}, or add --stream -")
        return
    if output.suffix.lower() != suffix:
        raise RequestError(
            f"the file is to be named {output.name!r}; this is written as {suffix}, so give it that ending"
        )
    if not output.parent.is_dir():
        raise RequestError(f"there is no folder {output.parent}; make it (mkdir -p {output.parent}) or choose another")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise RequestError(f"the folder {output.parent} cannot be written to; change its rights or choose another")
    if output.is_dir():
        raise RequestError(f"{output} is a folder; give the name of a file")
    if output.exists() and not options.force:
        raise RequestError(f"{output} exists, and its clip may be the only one; choose another name, or add --force")


def _tell(take: Take, released: Released | None, console: Console) -> None:
    decision = take.gate.decision()
    if (decided := decision.deciding).action == "rewrite":
        console.print(f"Made in other words: {take.prompt}\n  {decided.reason}")
    for noted in dict.fromkeys(one.reason for one in decision.judgements if one.action == "label"):
        console.print(f"Note: {noted}", soft_wrap=True)
    for reading in take.understood:
        _explain(reading, take.model, console)
    if released:
        console.print(f"{released.path} (id {released.id}, seed {take.seed})", soft_wrap=True)
    else:
        console.print(f"Shown, and not kept (seed {take.seed}): a preview has no signature; -o writes a file that has.")


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


def _facts(take: Take, released: Released | None, notes: tuple[str, ...]) -> dict[str, Any]:
    height, width = take.size
    decision = take.gate.decision()
    return {
        "path": str(released.path) if released else None,
        "id": released.id if released else None,
        "sha256": released.sha256 if released else None,
        "model": take.model,
        "seed": take.seed,
        "size": f"{width}x{height}",
        "fps": take.fps,
        "frames": take.num_frames,
        "understood": [
            {"said": reading.said, "unknown": [unknown.word for unknown in reading.unknown]}
            for reading in take.understood
        ],
        "prompt": take.prompt,
        "given": [[span.start, span.stop, span.how] for span in take.given],
        "notes": list(notes),
        "action": decision.deciding.action,
        "labels": [rule for _, rule in decision.labels],
        "policy_version": decision.policy_version,
    }
