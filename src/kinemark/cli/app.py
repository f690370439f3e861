"""The verbs, gathered."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from kinemark import __version__
from kinemark.cli import (
    audit,
    blocklist,
    check,
    compliance,
    consent,
    creators,
    desk,
    evaluate,
    generate,
    info,
    keys,
    ledger,
    policy,
    redteam,
    robustness,
    sealed,
    sweep,
    system_card,
    train,
    trust,
    verify,
)
from kinemark.cli.output import plain_app

app: Final = plain_app(
    "Video from text that can prove what it made.",
    'Example: kinemark generate "a red sailboat drifts right across the sea at sunset" -o boat.mp4',
)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"Kinemark {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version.")
    ] = False,
) -> None: ...


app.command(name="generate")(generate.generate)
app.command(name="verify")(verify.verify)
app.command(name="check")(check.check)
app.command(name="evaluate")(evaluate.evaluate)
app.command(name="train")(train.train)
app.command(name="robustness")(robustness.robustness)
app.command(name="redteam")(redteam.redteam)
app.command(name="audit")(audit.audit)
app.command(name="parity")(redteam.parity)
app.command(name="system-card")(system_card.system_card)
app.command(name="sweep")(sweep.sweep)
app.command(name="compliance")(compliance.compliance)
app.command(name="info")(info.info)
app.add_typer(policy.app, name="policy")
app.add_typer(consent.consent_app, name="consent")
app.add_typer(creators.app, name="creators")
app.add_typer(blocklist.app, name="blocklist")
app.add_typer(sealed.app, name="sealed")
app.add_typer(desk.desk_app("appeal", "Have a refusal looked at again."), name="appeal")
app.add_typer(desk.desk_app("report", "Say that a clip or a use breaks the policy."), name="report")
app.add_typer(desk.desk_app("takedown", "Ask for a clip to be withdrawn."), name="takedown")
app.add_typer(desk.desk_app("incident", "Say that something went wrong."), name="incident")
app.add_typer(keys.app, name="keys")
app.add_typer(trust.app, name="trust")
app.add_typer(ledger.app, name="ledger")
