"""Flows can be paused, schedules tell what they left out, and executions have priorities."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE flows
            ADD COLUMN pause_time timestamptz,
            ADD COLUMN paused_by text NOT NULL DEFAULT '',
            ADD COLUMN pause_reason text NOT NULL DEFAULT ''
        """
    )
    op.execute(
        """
        ALTER TABLE schedules
            ADD COLUMN last_skip_time timestamptz,
            ADD COLUMN last_skip_reason text NOT NULL DEFAULT ''
        """
    )
    op.execute(
        """
        ALTER TABLE executions
            ADD COLUMN priority integer NOT NULL DEFAULT 0,
            ADD COLUMN rank_time timestamptz NOT NULL DEFAULT now()
        """
    )
    op.execute("ALTER TABLE plan_runs ADD COLUMN priority integer")
    op.execute(
        "CREATE INDEX executions_waiting ON executions (tenant_id, connector_id, rank_time) "
        "WHERE status = 'pending'"
    )


def downgrade() -> None:
    for column in ("pause_time", "paused_by", "pause_reason"):
        op.execute(f"ALTER TABLE flows DROP COLUMN {column}")
    for column in ("last_skip_time", "last_skip_reason"):
        op.execute(f"ALTER TABLE schedules DROP COLUMN {column}")
    for column in ("priority", "rank_time"):
        op.execute(f"ALTER TABLE executions DROP COLUMN {column}")
    op.execute("ALTER TABLE plan_runs DROP COLUMN priority")
