"""`kinemark redteam`: attack the prompt gate of this installation, and say how often it stands."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinemark.cli.output import Json, out, print_json, write_text
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from kinemark.safety.redteam.operators import Operator


def redteam(
    suite: Annotated[str, typer.Option(help="A suite that ships, or a .tsv file like it.")] = "core",
    attacks: Annotated[str, typer.Option(help="Names of attacks with commas between them; all, or none.")] = "all",
    report: Annotated[Path | None, typer.Option(help="A folder for README.md and report.json.")] = None,
    seed: Annotated[int, typer.Option(help="Of the attackers' choices.")] = 0,
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the one in force.")] = None,
    json: Json = False,
) -> None:
    """Judge the prompts of a suite, plain and under attack. Nothing is made."""
    from kinemark.safety.policy.file import load_policy
    from kinemark.safety.policy.store import policy_in_force
    from kinemark.safety.redteam.measure import measure
    from kinemark.safety.redteam.report import as_json, as_page
    from kinemark.safety.redteam.suites import read_suite
    from kinemark.settings import load_settings

    chosen, searched = _chosen(attacks)
    rules = load_policy(policy) if policy else policy_in_force(load_settings())
    result = measure(suite, read_suite(suite), rules, chosen, seed=seed, searched=searched)
    _keep("report", as_json(result))
    if report is not None:
        _write(report, {"README.md": as_page(result), "report.json": _dumped(as_json(result))})
    if json:
        print_json(as_json(result))
    else:
        out().print(as_page(result), markup=False, soft_wrap=True)


def _chosen(attacks: str) -> tuple[tuple[Operator, ...], bool]:
    """The operators that were named, and whether to search."""
    from kinemark.safety.redteam.measure import SEARCHES
    from kinemark.safety.redteam.operators import operators

    every = {operator.name: operator for operator in operators()}
    names = [name.strip() for name in attacks.split(",") if name.strip()]
    if names == ["all"]:
        return tuple(every.values()), True
    if names == ["none"]:
        return (), False
    unknown = [name for name in names if name not in every and name != "search"]
    if unknown or not names:
        raise RequestError(
            f"there is no attack {', '.join(unknown) or attacks!r}; there are: {', '.join(every)}, search "
            f"({' and '.join(SEARCHES)}), all, none"
        )
    return tuple(every[name] for name in names if name in every), "search" in names


def parity(
    report: Annotated[Path | None, typer.Option(help="A folder for PARITY.md and parity.json.")] = None,
    seed: Annotated[int, typer.Option(help="Of the scenes that are drawn.")] = 0,
    policy: Annotated[Path | None, typer.Option(help="Another policy file than the one in force.")] = None,
    json: Json = False,
) -> None:
    """Tell the same scenes of different people, and say how alike the prompt gate treats them. Nothing is made."""
    from kinemark.safety.policy.file import load_policy
    from kinemark.safety.policy.store import policy_in_force
    from kinemark.safety.redteam.parity import as_json, as_page, measure_parity
    from kinemark.settings import load_settings

    rules = load_policy(policy) if policy else policy_in_force(load_settings())
    result = measure_parity(rules, seed=seed)
    _keep("parity", as_json(result))
    if report is not None:
        _write(report, {"PARITY.md": as_page(result), "parity.json": _dumped(as_json(result))})
    if json:
        print_json(as_json(result))
    else:
        out().print(as_page(result), markup=False, soft_wrap=True)


def _keep(name: str, value: dict[str, Any]) -> None:
    """Keep the last measurement of this installation, for its system card."""
    from kinemark.settings import load_settings

    _write(load_settings().measurements_dir, {f"{name}.json": _dumped(value)})


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"cannot make the folder {folder}: {error.strerror}; choose another") from error
    for name, text in files.items():
        write_text(folder / name, text)


def _dumped(value: dict[str, Any]) -> str:
    return json_format.dumps(value, indent=2, sort_keys=True) + "\n"
