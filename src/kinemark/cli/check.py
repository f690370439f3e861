"""`kinemark check`: what the policy says about prompts."""

from __future__ import annotations

import json as json_format
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kinemark.safety.decision import Decision
    from kinemark.safety.policy.file import Policy

MAX_FILE: Final = 64 << 20
#: Prompts of a file that are judged together.
BATCH: Final = 256


def check(
    prompt: Annotated[str | None, typer.Argument(help="The prompt.", show_default=False)] = None,
    file: Annotated[Path | None, typer.Option(help="A text file with one prompt a line, instead.")] = None,
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the one in force.")] = None,
    json: Json = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object for each prompt.")] = False,
) -> None:
    """Judge a prompt, or every line of a file, by the policy, without making anything.

    Whatever the answer is, the exit code is 0: the question was answered.
    """
    from kinemark.safety.creators import rules_in_force
    from kinemark.safety.policy.file import load_policy
    from kinemark.settings import load_settings

    if (prompt is None) == (file is None):
        raise RequestError('give a prompt, or a file of prompts: kinemark check "..." or kinemark check --file FILE')
    rules = load_policy(policy) if policy else rules_in_force(load_settings())
    if file is not None:
        _check_file(file, rules, as_json=json or jsonl)
        return
    if prompt is None or not prompt.strip():
        raise RequestError("the prompt is empty; write what should be checked")
    decision = _decide(prompt, rules)
    if json or jsonl:
        print_json(decision.verdict())
        return
    decided, console = decision.deciding, out()
    console.print(f"{'Allowed' if decided.allow else 'Refused'} by policy {rules.version} ({decided.action})")
    if decided.category:
        console.print(f"  category: {decided.category} (rule {decided.rule})")
    console.print(f"  {decided.reason}")
    if decided.appeal:
        console.print(f"  {decided.appeal}")


def _check_file(path: Path, rules: Policy, *, as_json: bool) -> None:
    allowed = total = 0
    lines = _lines(path)
    while numbered := list(islice(lines, BATCH)):
        for (number, _), verdict in zip(numbered, _verdicts([prompt for _, prompt in numbered], rules), strict=True):
            total, allowed = total + 1, allowed + verdict["allow"]
            if as_json:
                print_json({"line": number, **verdict})
            else:
                out().print(f"{number}: {verdict['action']}  {verdict['rule']}")
    if not total:
        raise RequestError(f"{path} holds no prompt; write one a line")
    if not as_json:
        out().print(f"{total} prompts: {allowed} allowed, {total - allowed} refused, by policy {rules.version}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The prompts of a file with their line numbers: lines of text, or JSON objects with a "prompt"."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise RequestError(f"{path} is larger than {MAX_FILE >> 20} MiB; split it")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise RequestError(f"cannot read {path}: {error.strerror}; give a text file with one prompt a line") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 text (byte {error.start}); give one prompt a line") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _prompt_of(line.strip(), number) if path.suffix == ".jsonl" else line.strip()


def _prompt_of(line: str, number: int) -> str:
    try:
        return str(json_format.loads(line)["prompt"])
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f'line {number} is no JSON object with a "prompt": {error}') from error


def _verdicts(prompts: list[str], rules: Policy) -> Iterator[dict[str, Any]]:
    from kinemark.safety.decision import Decision
    from kinemark.safety.gates import judge_prompts

    for judgement in judge_prompts(prompts, rules):
        yield Decision(rules.version, rules.digest, "", (judgement,)).verdict()


def _decide(prompt: str, rules: Policy) -> Decision:
    from kinemark.safety.decision import Decision
    from kinemark.safety.gates import judge_prompt

    return Decision(rules.version, rules.digest, "", judge_prompt(prompt, rules))
