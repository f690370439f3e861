"""`kinemark sweep`: destroy what is older than this installation keeps it."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

from kinemark.cli.output import Json, out, print_json


def sweep(json: Json = False) -> None:
    """Destroy prompts, and words written to the desk, that are older than KINEMARK_RETENTION_DAYS."""
    from kinemark.retention import sweep as run
    from kinemark.settings import load_settings

    settings = load_settings()
    swept = run(settings, now=dt.datetime.now(dt.UTC))
    if json:
        print_json({"days": settings.retention_days, **asdict(swept)})
        return
    told = f"{swept.releases} releases lost the tie to their prompt, {swept.cases} cases their words"
    out().print(f"Older than {settings.retention_days} days: {told}.")
