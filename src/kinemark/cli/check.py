"""`kinemark check`: what the policy says about a prompt."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import Annotated

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError


def check(
    prompt: Annotated[str, typer.Argument(help="The prompt.", show_default=False)],
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the one that ships.")] = None,
    json: Json = False,
) -> None:
    """Judge a prompt by the policy, without making anything.

    Whatever the answer is, the exit code is 0: the question was answered.
    """
    from kinemark.safety.decision import Decision
    from kinemark.safety.gates import judge_prompt
    from kinemark.safety.policy.file import SHIPPED, load_policy

    if not prompt.strip():
        raise RequestError("the prompt is empty; write what should be checked")
    rules = load_policy(policy or SHIPPED)
    decision = Decision(rules.version, rules.digest, "", judge_prompt(prompt, rules))
    if json:
        print_json(decision.verdict())
        return
    decided, console = decision.deciding, out()
    console.print(f"{'Allowed' if decided.allow else 'Refused'} by policy {rules.version} ({decided.action})")
    if decided.category:
        console.print(f"  category: {decided.category} (rule {decided.rule})")
    console.print(f"  {decided.reason}")
    if decided.appeal:
        console.print(f"  {decided.appeal}")
