"""`kinemark system-card`: what this installation is and what was measured of it. The rest is "not shown"."""

from __future__ import annotations

import datetime as dt
import json as json_format
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kinemark.cli.output import Json, out, print_json, write_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinemark.settings import Settings

NOT_SHOWN: Final = "not shown"
Rows = dict[str, Any] | str


def system_card(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the card to a Markdown file.")] = None,
    json: Json = False,
) -> None:
    """Say what runs here, how it was measured, and what has happened. Rows that were not measured say so."""
    from kinemark.settings import load_settings

    card = _card(load_settings())
    if json:
        print_json(card)
        return
    page = _page(card)
    if output is None:
        out().print(page, soft_wrap=True)
    else:
        write_text(output, page)
        out().print(f"{output}", soft_wrap=True)


def _card(settings: Settings) -> dict[str, Any]:
    import kinemark
    from kinemark.model.load import load_networks
    from kinemark.safety.classifiers.file import load_classifiers
    from kinemark.safety.content import open_world
    from kinemark.safety.gates import gates_digest
    from kinemark.safety.policy.store import policy_in_force

    policy, model, gates = policy_in_force(settings), load_networks("spark"), gates_digest()
    classifiers = load_classifiers(settings.classifiers_path)
    content = open_world(policy, (), classifiers, given=True, photoreal=model.photoreal)
    under = {"policy_version": policy.version, "gates_digest": gates}
    return {
        "installation": {
            "version": kinemark.__version__,
            "policy": f"{policy.version} ({policy.digest[:16]})",
            "gates": gates[:16],
            "profiles": settings.profiles or "none",
        },
        "model": {"name": model.name, "weights": model.weights_digest[:16], **model.origin.metrics},
        "prompt gate": _measured(settings, "report", under, _rates),
        "parity": _measured(settings, "parity", under, lambda found: {"largest gap": found["gap"]}),
        "releases": _ledger(settings),
        "consent": _consent(settings),
        "cases": _cases(settings),
        "nobody looks for, in frames that were given": list(content.unseen),
    }


def _measured(
    settings: Settings, name: str, under: dict[str, str], told: Callable[[dict[str, Any]], dict[str, Any]]
) -> Rows:
    """What a measurement of these gates under this policy says; that of others is not shown."""
    path = settings.measurements_dir / f"{name}.json"
    if not path.is_file():
        return NOT_SHOWN
    try:
        found = json_format.loads(path.read_text("utf-8"))
        return told(found) if all(found[key] == value for key, value in under.items()) else NOT_SHOWN
    except (ValueError, KeyError, TypeError, OSError):
        return NOT_SHOWN


def _rates(found: dict[str, Any]) -> dict[str, Any]:
    asked = {"unsafe": "stopped", "safe": "made"}
    rows = {f"{name} ({asked[group['label']]})": group for name, group in found["groups"].items()}
    rows |= {f"through by {name}": attack["through"] for name, attack in found["attacks"].items()}
    return {name: {"rate": row["rate"], "interval": row["interval"], "n": row["n"]} for name, row in rows.items()}


def _ledger(settings: Settings) -> Rows:
    from kinemark.provenance.records.opening import find_ledger

    records = find_ledger(settings)
    if records is None:
        return NOT_SHOWN
    with records as ledger:
        return dict(Counter(entry.event for entry in ledger.entries()))


def _consent(settings: Settings) -> Rows:
    from kinemark.safety.consent.register import Register

    if not settings.consent_dir.is_dir():
        return NOT_SHOWN
    with Register(settings.consent_dir) as register:
        entries = register.entries()
    withdrawn = sum(entry.revoked is not None for entry in entries)
    return {"in force": len(entries) - withdrawn, "withdrawn": withdrawn}


def _cases(settings: Settings) -> Rows:
    from kinemark.safety.desk.cases import Desk
    from kinemark.safety.desk.clocks import KINDS

    if not settings.desk_path.is_file():
        return NOT_SHOWN
    now = dt.datetime.now(dt.UTC)
    told: dict[str, Any] = {}
    with Desk(settings.desk_path) as desk:
        for kind in KINDS:
            cases = desk.cases(kind)
            waiting = [case for case in cases if case.decision is None]
            told[kind] = {"all": len(cases), "open": len(waiting), "late": sum(case.overdue(now) for case in cases)}
    return told


def _page(card: dict[str, Any]) -> str:
    lines = ["# System card", ""]
    for section, rows in card.items():
        lines += [f"## {section[:1].upper()}{section[1:]}", ""]
        if isinstance(rows, dict):
            lines += ["| | |", "|---|---|", *(f"| {name} | {_value(value)} |" for name, value in rows.items())]
        else:
            lines += [f"- {row}" for row in rows] if isinstance(rows, list) else [f"{rows}."]
        lines.append("")
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, dict) and "rate" in value:
        low, high = value["interval"]
        return f"{100 * value['rate']:.1f} % ({100 * low:.1f} to {100 * high:.1f} %, n = {value['n']})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return f"{value}"
