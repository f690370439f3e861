"""Whom to tell when a clip is done: endpoints of owners, and events that wait to be delivered.

An event is entered in the transaction that ends its job, so that none is lost and none is made up. It keeps its id and
its body however often it is sent; each sending is signed anew (Standard Webhooks: HMAC-SHA256 over id, time and body).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, update

from kinemark.server.rows import page_of_rows
from kinemark.server.tables import DELIVERIES, ENDPOINTS, now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from kinemark.server.pages import Wanted

EVENTS: Final = (
    *("video.completed", "video.failed"),
    *("batch.completed", "batch.failed", "batch.expired", "batch.cancelled"),
)
#: Seconds from one sending that failed to the next; after the last one, three days in all, it is not sent again.
AGAIN: Final = (5, 60, 300, 1800, 7200, 18_000, 36_000, 64_800, 64_800, 64_800)
#: Seconds for which somebody who sends has a delivery to themselves.
HELD: Final = 60.0
#: Seconds for which the old secret signs too where that was asked for.
OVERLAP: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an owner wants to be told."""

    id: str
    owner: str
    name: str
    url: str
    event_types: list[str]
    secret: str
    old_secret: str | None
    old_until: float | None
    created_at: float
    updated_at: float | None

    @property
    def secrets(self) -> list[str]:
        """Those that sign now."""
        old = self.old_secret if self.old_until is not None and self.old_until > time.time() else None
        return [self.secret] if old is None else [self.secret, old]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that is to be sent: its id, its body, where to, and how often that was tried."""

    id: str
    body: str
    attempts: int
    endpoint: Endpoint


_COLUMNS: Final = [ENDPOINTS.c[field.name] for field in fields(Endpoint)]


class Webhooks:
    """The endpoints and deliveries in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    def create(self, owner: str, name: str, url: str, event_types: Sequence[str]) -> Endpoint:
        """A new endpoint, with a new secret."""
        row = {
            "id": f"we_{secrets.token_hex(16)}",
            "owner": owner,
            "name": name,
            "url": url,
            "event_types": list(event_types),
            "secret": new_secret(),
            "created_at": now(),
        }
        with self._single.connect() as connection:
            made = connection.execute(insert(ENDPOINTS).values(**row).returning(*_COLUMNS)).one()
        return Endpoint(**made._mapping)  # noqa: SLF001  SQLAlchemy's own name for it

    def change(self, id_: str, owner: str, changes: Mapping[str, Any]) -> Endpoint | None:
        """An endpoint of an owner, changed; None if there is none."""
        statement = (
            update(ENDPOINTS)
            .where(ENDPOINTS.c.id == id_, ENDPOINTS.c.owner == owner)
            .values(**changes, updated_at=now())
            .returning(*_COLUMNS)
        )
        return self._one(statement)

    def rotate(self, id_: str, owner: str, *, keep_old: bool) -> Endpoint | None:
        """An endpoint with a new secret; the old one may sign beside it for a day."""
        old = {"old_secret": ENDPOINTS.c.secret, "old_until": now() + OVERLAP}
        gone = {"old_secret": None, "old_until": None}
        return self.change(id_, owner, {"secret": new_secret(), **(old if keep_old else gone)})

    def get(self, id_: str, owner: str) -> Endpoint | None:
        """An endpoint of an owner."""
        return self._one(select(*_COLUMNS).where(ENDPOINTS.c.id == id_, ENDPOINTS.c.owner == owner))

    def page(self, owner: str, wanted: Wanted) -> tuple[list[Endpoint], bool]:
        """The endpoints of an owner in the order of their making, and whether there are more."""
        rows, more = page_of_rows(self._single, ENDPOINTS, _COLUMNS, owner, wanted)
        return [Endpoint(**row._mapping) for row in rows], more  # noqa: SLF001

    def delete(self, id_: str, owner: str) -> bool:
        """Let go of an endpoint and of what it was to be told; whether there was one."""
        with self._engine.begin() as connection:
            mine = select(ENDPOINTS.c.id).where(ENDPOINTS.c.id == id_, ENDPOINTS.c.owner == owner)
            connection.execute(delete(DELIVERIES).where(DELIVERIES.c.endpoint.in_(mine)))
            gone = connection.execute(delete(ENDPOINTS).where(ENDPOINTS.c.id == id_, ENDPOINTS.c.owner == owner))
            return gone.rowcount == 1

    def due(self) -> Delivery | None:
        """Take the next delivery that is due, for `HELD` seconds; None if there is none."""
        following = (
            select(DELIVERIES.c.id)
            .where(DELIVERIES.c.next_at <= now())
            .order_by(DELIVERIES.c.next_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taken = (
            update(DELIVERIES)
            .where(DELIVERIES.c.id == following.scalar_subquery())
            .values(attempts=DELIVERIES.c.attempts + 1, next_at=now() + HELD)
            .returning(DELIVERIES.c.id, DELIVERIES.c.body, DELIVERIES.c.attempts, DELIVERIES.c.endpoint)
        )
        with self._single.connect() as connection:
            row = connection.execute(taken).one_or_none()
            if row is None:
                return None
            endpoint = connection.execute(select(*_COLUMNS).where(ENDPOINTS.c.id == row.endpoint)).one_or_none()
        if endpoint is None:
            return None
        return Delivery(row.id, row.body, row.attempts, Endpoint(**endpoint._mapping))  # noqa: SLF001

    def settle(self, delivery: Delivery, *, arrived: bool) -> None:
        """Say whether it arrived; if not, it is due again later, for three days."""
        wait = AGAIN[delivery.attempts - 1] if delivery.attempts <= len(AGAIN) else None
        following = None if arrived or wait is None else now() + wait
        statement = update(DELIVERIES).where(DELIVERIES.c.id == delivery.id, DELIVERIES.c.attempts == delivery.attempts)
        with self._single.connect() as connection:
            connection.execute(statement.values(next_at=following))

    def forget(self, seconds: float) -> None:
        """Forget deliveries that were settled, of events that are so old."""
        old = delete(DELIVERIES).where(DELIVERIES.c.next_at.is_(None), DELIVERIES.c.created_at < now() - seconds)
        with self._single.connect() as connection:
            connection.execute(old)

    def _one(self, statement: Any) -> Endpoint | None:  # noqa: ANN401  SQLAlchemy's statements have no common type
        with self._single.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Endpoint(**row._mapping)  # noqa: SLF001


def announce(connection: Connection, owner: str, kind: str, about: str) -> None:
    """Enter an event for every endpoint of an owner that wants to be told of its kind."""
    wanted = connection.execute(select(ENDPOINTS.c.id, ENDPOINTS.c.event_types).where(ENDPOINTS.c.owner == owner)).all()
    for id_, kinds in wanted:
        if kind in kinds:
            event = f"evt_{secrets.token_hex(16)}"
            row = {"id": event, "endpoint": id_, "body": event_body(event, kind, about), "attempts": 0}
            connection.execute(insert(DELIVERIES).values(**row, created_at=now(), next_at=now()))


def event_body(id_: str, kind: str, about: str) -> str:
    """What an endpoint is told: the id of the video or the batch alone, whose owner may then ask for it."""
    event = {"id": id_, "object": "event", "created_at": int(time.time()), "type": kind, "data": {"id": about}}
    return json.dumps(event, separators=(",", ":"))


def signed_headers(id_: str, body: str, keys: Sequence[str], at: int) -> dict[str, str]:
    """The headers of a sending (https://www.standardwebhooks.com): several signatures where secrets overlap."""
    said = f"{id_}.{at}.{body}".encode()
    signatures = [base64.b64encode(hmac.digest(_key(key), said, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        "content-type": "application/json",
        "user-agent": "Kinemark-Webhooks/1",
    }


def new_secret() -> str:
    """A secret in the form that clients know."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))
