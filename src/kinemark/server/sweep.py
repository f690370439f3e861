"""Lets go of what was kept long enough: files, and after the installation's retention what was asked for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from kinemark.server.audit import Audit

if TYPE_CHECKING:
    from kinemark.server.service import Service

#: Seconds between two looks.
SWEEP: Final = 300.0
_DAY: Final = 86_400.0


def sweep(service: Service) -> int:
    """Let go of what was kept long enough; how many files of the store went.

    Jobs and batches that were over before the retention began are forgotten with their prompts, as are deliveries and
    days of the audit log.
    """
    days = service.settings.retention_days
    unused = [*service.jobs.expire(), *service.jobs.forget(days * _DAY), *service.files.expire()]
    service.store.drop(unused)
    service.batches.forget(days * _DAY)
    service.webhooks.forget(days * _DAY)
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    Audit(service.settings.audit_dir).forget(before.date())
    return len(unused)
