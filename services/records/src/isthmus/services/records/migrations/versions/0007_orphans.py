"""Links of deleted flows are known as such."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add when a flow was deleted, and what it was called."""
    op.execute(
        "ALTER TABLE link_flows ADD COLUMN flow_name text NOT NULL DEFAULT '', "
        "ADD COLUMN delete_time timestamptz"
    )
    op.execute("CREATE INDEX link_flows_orphaned ON link_flows (delete_time) WHERE delete_time IS NOT NULL")


def downgrade() -> None:
    """Forget it."""
    op.execute("ALTER TABLE link_flows DROP COLUMN flow_name, DROP COLUMN delete_time")
