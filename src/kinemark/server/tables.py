"""What the server keeps in its database: jobs and their files, keys, webhooks, files of owners, and batches.

Times are seconds since 1970, by the database's clock and nobody else's: servers and workers may have others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

METADATA: Final = MetaData()

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("cost", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("model", String(128), nullable=False),
    Column("asked", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("body_digest", String(64), nullable=False),
    Column("idempotency", String(255), nullable=True),
    Column("progress", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float, nullable=True),
    Column("completed_at", Float, nullable=True),
    Column("expires_at", Float, nullable=True),
    Column("error", JSON(none_as_null=True), nullable=True),
    Column("worker", String(128), nullable=True),
    Column("attempts", Integer, nullable=False),
    Column("lease_until", Float, nullable=True),
    Index("jobs_in_turn", "status", "priority", "created_at"),
    Index("jobs_by_age", "created_at"),
    Index("jobs_of_owner", "owner", "created_at"),
    Index("jobs_by_model", "model", "status", "completed_at"),
    Index("jobs_once", "owner", "idempotency", unique=True),
)
"""One row for each clip that was asked for, `seconds` long and about `cost` seconds of a worker's time. `attempts`
counts who worked on it, and is the number that a worker has to know to change anything: whoever lost the job has an
older one. No two were created at the same time."""

ASSETS: Final = Table(
    "assets",
    METADATA,
    Column("job", String(64), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, index=True),
    Column("media_type", String(64), nullable=False),
    Column("size", Integer, nullable=False),
)
"""Files of jobs, given and made, by what they are to the job. What several jobs use is stored once."""

API_KEYS: Final = Table(
    "api_keys",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("per_day", Integer, nullable=True),
    Column("salt", String(64), nullable=False),
    Column("hash", String(128), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked", Boolean, nullable=False),
)
"""Who may ask: of a key nothing is kept that would let anybody use it."""


ENDPOINTS: Final = Table(
    "webhook_endpoints",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False, index=True),
    Column("name", String(80), nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", JSON, nullable=False),
    Column("secret", String(128), nullable=False),
    Column("old_secret", String(128), nullable=True),
    Column("old_until", Float, nullable=True),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=True),
)
"""Where owners want to be told. Secrets are kept as they are: what they sign has to be signed again each time."""

DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("endpoint", String(64), ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("next_at", Float, nullable=True),
    Index("deliveries_due", "next_at"),
)
"""What endpoints have to be told; `next_at` is empty once they were, or once it was tried long enough."""


FILES: Final = Table(
    "files",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("name", String(255), nullable=False),
    Column("digest", String(64), nullable=False, index=True),
    Column("media_type", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index("files_of_owner", "owner", "created_at"),
)
"""Files that owners keep by id."""

BATCHES: Final = Table(
    "batches",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("input_file", String(64), nullable=False),
    Column("asked", JSON, nullable=False),
    Column("times", JSON, nullable=False),
    Column("errors", JSON, nullable=False),
    Column("output_file", String(64), nullable=True),
    Column("error_file", String(64), nullable=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("next_at", Float, nullable=True),
    Index("batches_due", "next_at"),
    Index("batches_of_owner", "owner", "created_at"),
)
"""Requests that were sent as one file; `next_at` is when somebody looks after one, and empty once it is over. `times`
holds when it came to which status."""

LINES: Final = Table(
    "batch_lines",
    METADATA,
    Column("batch", String(64), ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("custom_id", String(512), nullable=False),
    Column("body", JSON, nullable=False),
    Column("job", String(64), nullable=True, index=True),
    Column("answer", JSON(none_as_null=True), nullable=True),
    Column("failed", Boolean, nullable=True),
)
"""The requests of batches: a line has a job once it was entered, and an answer once it is over."""


class now(FunctionElement[float]):  # noqa: N801  a function of SQL
    """The database's time in seconds since 1970."""

    type = Float()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(_element: now, _compiler: SQLCompiler, **_options: Any) -> str:  # noqa: ANN401
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _postgresql_now(_element: now, _compiler: SQLCompiler, **_options: Any) -> str:  # noqa: ANN401
    return "CAST(extract(epoch from clock_timestamp()) AS double precision)"
