"""How long clips are, so that what a second of a model takes can be told from those that were made."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; of jobs from before, what they were to cost was their length."""
    op.add_column("jobs", sa.Column("seconds", sa.Float, nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET seconds = cost")
    op.create_index("jobs_by_model", "jobs", ["model", "status", "completed_at"])
