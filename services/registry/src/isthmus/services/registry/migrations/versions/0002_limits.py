"""Limits of instances, which revisions remember too."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for table in ("instances", "configuration_revisions"):
        op.execute(f"alter table {table} add column limits text not null default '{{}}'")
