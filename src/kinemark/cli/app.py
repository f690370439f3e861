"""The verbs, gathered."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from kinemark import __version__
from kinemark.cli import (
    audit,
    blend,
    blocklist,
    caption,
    check,
    compliance,
    connect,
    consent,
    creators,
    desk,
    evaluate,
    extend,
    generate,
    image,
    info,
    keys,
    ledger,
    loop,
    models,
    policy,
    recut,
    redteam,
    remix,
    robustness,
    sealed,
    serve,
    storyboard,
    sweep,
    system_card,
    train,
    trust,
    verify,
)
from kinemark.cli.making import makes_clips
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


app.command(name="generate")(makes_clips(generate.generate))
app.command(name="extend")(makes_clips(extend.extend))
app.command(name="connect")(makes_clips(connect.connect))
app.command(name="blend")(makes_clips(blend.blend))
app.command(name="loop")(makes_clips(loop.loop))
app.command(name="remix")(makes_clips(remix.remix))
app.command(name="recut")(makes_clips(recut.recut))
app.command(name="storyboard")(makes_clips(storyboard.storyboard))
app.command(name="image")(makes_clips(image.image, suffix=".png"))
app.command(name="caption")(caption.caption)
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
app.command(name="serve")(serve.serve)
app.command(name="worker")(serve.worker)
app.add_typer(models.app, name="models")
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
