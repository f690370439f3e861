"""`kinemark appeal`, `report`, `takedown` and `incident`: queues with clocks, owners and reasoned answers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from kinemark.cli.output import Json, out, print_json

if TYPE_CHECKING:
    from kinemark.safety.desk.cases import Case, Desk
    from kinemark.safety.desk.clocks import Kind

Id = Annotated[str, typer.Argument(help="The case's id.", show_default=False)]


def desk_app(kind: Kind, summary: str) -> typer.Typer:
    """The verbs of one kind of case."""
    app = typer.Typer(help=summary, no_args_is_help=True)

    @app.command(name="open")
    def open_(
        subject: Annotated[str, typer.Argument(help="A clip's id, or the rule that refused.", show_default=False)],
        text: Annotated[str, typer.Argument(help="What it is about.", show_default=False)],
        ground: Annotated[str | None, typer.Option(help="Why; the usual ground, if none.")] = None,
        contact: Annotated[str, typer.Option(help="How to reach whoever asks.")] = "",
        json: Json = False,
    ) -> None:
        """Open a case. Its clock starts at once."""
        with _desk() as desk:
            case = desk.open_case(kind, subject=subject, text=text, ground=ground, contact=contact, now=_now())
        if json:
            print_json(case.statement())
            return
        out().print(f"{case.id}: to be answered by {case.due} ({case.owner}).", soft_wrap=True)

    @app.command(name="list")
    def list_(
        pending: Annotated[bool, typer.Option("--pending", help="Only those without an answer.")] = False,
        json: Json = False,
    ) -> None:
        """List the cases, the most urgent first."""
        with _desk() as desk:
            cases = desk.cases(kind, pending=pending)
        if json:
            print_json({"cases": [{**case.statement(), "overdue": case.overdue(_now())} for case in cases]})
            return
        for case in cases:
            out().print(_line(case), soft_wrap=True)
        if not cases:
            out().print("No case.")

    @app.command()
    def show(id_: Id, json: Json = False) -> None:
        """Show a case: every step, and the statement of reasons."""
        with _desk() as desk:
            case = desk.case(id_)
        if json:
            print_json(case.statement())
            return
        out().print(f"{_line(case)}\nAbout: {case.subject} ({case.ground})", soft_wrap=True)
        for step in case.steps:
            out().print(f"  {step.time}  {step.step} {step.outcome} {step.by}: {step.text}", soft_wrap=True)

    @app.command()
    def assign(id_: Id, owner: Annotated[str, typer.Argument(help="Who answers it.", show_default=False)]) -> None:
        """Give a case to somebody."""
        with _desk() as desk:
            case = desk.assign(id_, owner, now=_now())
        out().print(f"{case.id} is with {case.owner}, due {case.due}.")

    @app.command()
    def decide(
        id_: Id,
        outcome: Annotated[str, typer.Argument(help="The answer, in a word.", show_default=False)],
        reasons: Annotated[str, typer.Argument(help="Why: the person reads this.", show_default=False)],
        by: Annotated[str, typer.Option(help="Who decides.", show_default=False)],
        json: Json = False,
    ) -> None:
        """Answer a case, with reasons. It is closed."""
        with _desk() as desk:
            case = desk.decide(id_, outcome, reasons, by=by, now=_now())
        if outcome == "removed":
            _take_down(case)
        if json:
            print_json(case.statement())
            return
        out().print(f"{case.id}: {outcome}. The statement of reasons: kinemark {kind} show {case.id} --json")

    return app


def _take_down(case: Case) -> None:
    """Enter it in the ledger, where the clip is one of this installation's: nothing is made from it any more."""
    from kinemark.provenance.records.opening import find_ledger
    from kinemark.settings import load_settings

    records = find_ledger(load_settings())
    if records is None:
        return
    with records as ledger:
        if ledger.find(case.subject) and not ledger.taken_down(case.subject):
            ledger.append("takedown", case.subject, {"case": case.id, "ground": case.ground})


def _desk() -> Desk:
    from kinemark.safety.desk.cases import Desk
    from kinemark.settings import load_settings

    return Desk(load_settings().desk_path)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _line(case: Case) -> str:
    state = case.decision.outcome if case.decision else "open"
    late = "  OVERDUE" if case.overdue(_now()) else ""
    return f"{case.id}  due {case.due}  {case.owner}  {state}{late}"
