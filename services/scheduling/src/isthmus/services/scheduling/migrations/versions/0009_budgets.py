"""Hosts share the limits of the instances that they call at the same time."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE budget_shares (
            tenant_id text NOT NULL,
            instance_id text NOT NULL,
            host_id text NOT NULL,
            rate_share double precision NOT NULL,
            places integer NOT NULL,
            told_places integer NOT NULL,
            expire_time timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, instance_id, host_id)
        )
        """
    )
    isolate(op, "budget_shares")


def downgrade() -> None:
    op.execute("DROP TABLE budget_shares")
