"""Jobs, their files, and the keys of those who may ask."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("cost", sa.Float, nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("asked", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("body_digest", sa.String(64), nullable=False),
        sa.Column("idempotency", sa.String(255)),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("completed_at", sa.Float),
        sa.Column("expires_at", sa.Float),
        sa.Column("error", sa.JSON),
        sa.Column("worker", sa.String(128)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease_until", sa.Float),
    )
    op.create_index("jobs_in_turn", "jobs", ["status", "priority", "created_at"])
    op.create_index("jobs_by_age", "jobs", ["created_at"])
    op.create_index("jobs_of_owner", "jobs", ["owner", "created_at"])
    op.create_index("jobs_once", "jobs", ["owner", "idempotency"], unique=True)
    op.create_table(
        "assets",
        sa.Column("job", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("role", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, index=True),
        sa.Column("media_type", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("per_day", sa.Integer),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(128), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
