"""Who may ask: keys of the API, kept as scrypt hashes, each with what it may do and how often.

A key is `km_ID_SECRET`. A server that listens to its own machine alone, and for which no key was ever made, asks for
none: everything is then the operator's.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select, update

from kinemark.errors import RequestError
from kinemark.server.tables import API_KEYS, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine, Row

SCOPES: Final = ("generate", "verify")
OPERATOR: Final = "operator"
#: Seconds for which a key that was checked is believed: as long may a key that was withdrawn go on.
BELIEVED: Final = 30.0
_COST: Final = {"n": 1 << 14, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True)
class Account:
    """Who asks.

    Attributes:
        id: of the key.
        name: that it was given.
        scopes: what it may do, of `SCOPES`.
        per_day: how many clips it may ask for in a day; None: any number.
    """

    id: str
    name: str
    scopes: frozenset[str]
    per_day: int | None = None


#: Whoever asks a server that asks for no keys.
EVERYBODY: Final = Account(OPERATOR, OPERATOR, frozenset(SCOPES))


class Accounts:
    """The keys in a database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._believed: dict[bytes, tuple[float, Account | None]] = {}

    def create(self, name: str, scopes: Sequence[str], per_day: int | None = None) -> str:
        """Make a key; it is returned once, and not kept.

        Raises:
            RequestError: a scope is unknown, or the name or the limit is none.
        """
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise RequestError(f"scope is {', '.join(unknown) or 'missing'}; allowed: {', '.join(SCOPES)}")
        if not 1 <= len(name) <= 80:
            raise RequestError(f"name has {len(name)} characters; give 1 to 80")
        if per_day is not None and per_day < 1:
            raise RequestError(f"limit is {per_day} a day; give 1 or more")
        id_, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_bytes(16)
        row = {
            "id": id_,
            "name": name,
            "scopes": sorted(set(scopes)),
            "per_day": per_day,
            "salt": salt.hex(),
            "hash": _hash(secret, salt),
            "created_at": now(),
            "revoked": False,
        }
        with self._engine.connect() as connection:
            connection.execute(insert(API_KEYS).values(**row))
        return f"km_{id_}_{secret}"

    def withdraw(self, id_: str) -> None:
        """Let a key be worth nothing.

        Raises:
            RequestError: there is none of this id, or it was withdrawn already.
        """
        statement = update(API_KEYS).where(API_KEYS.c.id == id_, ~API_KEYS.c.revoked).values(revoked=True)
        with self._engine.connect() as connection:
            if connection.execute(statement).rowcount != 1:
                raise RequestError(f"there is no key {id_!r} in force; kinemark keys list names them")

    def all(self) -> list[Account]:
        """The keys in force."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(API_KEYS).where(~API_KEYS.c.revoked).order_by(API_KEYS.c.created_at)).all()
        return [_account(row) for row in rows]

    def get(self, id_: str) -> Account | None:
        """A key in force by its id; nobody else's word is asked."""
        if id_ == OPERATOR:
            return EVERYBODY
        statement = select(API_KEYS).where(API_KEYS.c.id == id_, ~API_KEYS.c.revoked)
        with self._engine.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else _account(row)

    def any(self) -> bool:
        """Whether a key was ever made."""
        with self._engine.connect() as connection:
            return bool(connection.execute(select(func.count()).select_from(API_KEYS)).scalar_one())

    def believed(self, key: str) -> Account | None:
        """Whose key this is, if it was found a moment ago."""
        until, account = self._believed.get(_seen(key), (0.0, None))
        return account if time.monotonic() < until else None

    def find(self, key: str) -> Account | None:
        """Whose key this is; None if it is nobody's, or was withdrawn."""
        if (known := self.believed(key)) is not None:
            return known
        kind, _, rest = key.partition("_")
        id_, _, secret = rest.partition("_")
        with self._engine.connect() as connection:
            row = connection.execute(select(API_KEYS).where(API_KEYS.c.id == id_)).one_or_none()
        # A hash is made in any case, so that an id that exists takes no longer to refuse than one that does not.
        salt, kept = (bytes.fromhex(row.salt), row.hash) if row else (bytes(16), "")
        right = hmac.compare_digest(_hash(secret, salt), kept)
        if kind != "km" or row is None or not right or row.revoked:
            return None
        account = _account(row)
        if len(self._believed) > 10_000:
            self._believed.clear()
        self._believed[_seen(key)] = (time.monotonic() + BELIEVED, account)
        return account


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.name, frozenset(row.scopes), row.per_day)


def _seen(key: str) -> bytes:
    """By what a key is known again; keys themselves are not held."""
    return hashlib.sha256(key.encode()).digest()


def _hash(secret: str, salt: bytes) -> str:
    """Scrypt (RFC 7914) of a secret."""
    return hashlib.scrypt(secret.encode(), salt=salt, dklen=32, **_COST).hex()
