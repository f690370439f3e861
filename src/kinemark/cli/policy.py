"""`kinemark policy`: what is refused and why, and how that changes."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.output import Json, out, print_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kinemark.safety.policy.diff import Change
    from kinemark.safety.policy.file import Category, Policy
    from kinemark.safety.policy.store import PolicyStore

app = typer.Typer(help="What is refused and why, and how that changes.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="Version of the proposed policy.", show_default=False)]
File = Annotated[Path | None, typer.Argument(help="A policy file; the policy in force, if none.", show_default=False)]


@app.command()
def show(
    category: Annotated[str | None, typer.Argument(help="Only this category.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the policy's file here.")] = None,
    json: Json = False,
) -> None:
    """Show the policy in force: its categories, or one of them in full."""
    store = _store()
    policy = store.current()
    chosen = [policy.category(category)] if category else policy.categories
    if output:
        write_text(output, store.path.read_text("utf-8"))
        return
    if json:
        shown = [one.model_dump() for one in chosen]
        print_json({"version": policy.version, "date": policy.date, "digest": policy.digest, "categories": shown})
        return
    out().print(f"Policy {policy.version} of {policy.date}, SHA-256 {policy.digest}", soft_wrap=True)
    for one in chosen:
        _tell(one, policy, full=category is not None)


@app.command()
def diff(
    new: Annotated[Path, typer.Argument(help="A policy file.", show_default=False)],
    old: Annotated[Path | None, typer.Argument(help="What it is compared with: a file, or what is in force.")] = None,
    json: Json = False,
) -> None:
    """Show what a policy changes, and whether that stops more or lets more through."""
    from kinemark.safety.policy.diff import changes
    from kinemark.safety.policy.file import load_policy

    found = changes(load_policy(old) if old else _store().current(), load_policy(new))
    if json:
        print_json({"changes": [asdict(change) for change in found]})
        return
    _tell_changes(found)


@app.command(name="test")
def try_(policy: File = None, json: Json = False) -> None:
    """Try a policy on its own examples and near misses. The exit code is 1 if it judges one otherwise than it says."""
    from kinemark.safety.policy.file import load_policy
    from kinemark.safety.prompt.trial import failures

    tried = load_policy(policy) if policy else _store().current()
    wrong = failures(tried)
    count = sum(len(category.examples) + len(category.near_misses) for category in tried.categories)
    if json:
        print_json({"version": tried.version, "prompts": count, "failures": [asdict(one) for one in wrong]})
    else:
        for one in wrong:
            out().print(f"{one.category}: {one.problem}{f': {one.prompt}' if one.prompt else ''}", soft_wrap=True)
        out().print(f"Policy {tried.version}: {count} prompts tried, {len(wrong)} problems.")
    if wrong:
        raise typer.Exit(1)


@app.command()
def propose(
    policy: Annotated[Path, typer.Argument(help="The policy file that should come into force.", show_default=False)],
    days: Annotated[int, typer.Option(min=0, max=365, help="Days during which it is open to comment.")] = 14,
) -> None:
    """Put a policy up for comment. One that lets more through is open for 14 days at least."""
    proposal, found = _store().propose(policy, today=_today(), days=days)
    _tell_changes(found)
    out().print(
        f"Version {proposal.version} is open to comment until {proposal.comment_until}: "
        f'kinemark policy comment {proposal.version} "...". Then: kinemark policy adopt {proposal.version}',
        soft_wrap=True,
    )


@app.command()
def comment(version: Version, text: Annotated[str, typer.Argument(help="What you think.", show_default=False)]) -> None:
    """Say something about a proposed policy; it is kept with the proposal."""
    count = len(_store().comment(version, text).comments)
    out().print(f"Kept. Version {version} has {count} comment{'' if count == 1 else 's'}.")


@app.command()
def proposals(json: Json = False) -> None:
    """List the policies that are proposed, with what was said about them."""
    found = _store().proposals()
    if json:
        print_json({"proposals": [asdict(proposal) for proposal in found]})
        return
    for proposal in found:
        out().print(f"{proposal.version}: proposed {proposal.proposed}, open to comment until {proposal.comment_until}")
        for said in proposal.comments:
            out().print(f"  {said}", soft_wrap=True)
    if not found:
        out().print("No policy is proposed.")


@app.command()
def adopt(version: Version) -> None:
    """Bring a proposed policy into force, once its comment period is over."""
    policy = _store().adopt(version, today=_today())
    out().print(f"Policy {policy.version} is in force, SHA-256 {policy.digest}", soft_wrap=True)


def _store() -> PolicyStore:
    from kinemark.safety.policy.store import PolicyStore
    from kinemark.settings import load_settings

    return PolicyStore(load_settings().policy_dir)


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _tell_changes(found: Iterable[Change]) -> None:
    for change in found:
        out().print(f"{change.direction:<8} {change.place}: {change.what}", soft_wrap=True)


def _tell(category: Category, policy: Policy, *, full: bool) -> None:
    console = out()
    console.print(f"{category.id:<16} {category.action:<8} {category.title}", soft_wrap=True)
    if not full:
        return
    console.print(category.definition, soft_wrap=True)
    console.print(f"Severity: {category.severity}", soft_wrap=True)
    for rule in category.rules:
        console.print(
            f"Rule {rule.id}: {rule.action or category.action}. {rule.reason or category.reason}", soft_wrap=True
        )
    for heading, prompts in (("Allowed", category.near_misses), ("Not allowed", category.examples)):
        console.print(f"{heading}:")
        for prompt in prompts:
            console.print(f"  {prompt}", soft_wrap=True)
    console.print(f"Source: {category.source or 'house rule'}", soft_wrap=True)
    console.print(f"Appeal: {policy.appeal_for(category)}", soft_wrap=True)
