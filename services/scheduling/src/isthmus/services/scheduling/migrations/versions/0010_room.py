"""Instances say how many executions may be at work with them at a time; others wait for room."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE instances ADD COLUMN executions integer NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE executions ADD COLUMN waits_for text NOT NULL DEFAULT ''")
    op.execute(
        "CREATE INDEX executions_without_room ON executions (tenant_id, waits_for, rank_time) "
        "WHERE waits_for <> '' AND status = 'pending'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN waits_for")
    op.execute("ALTER TABLE instances DROP COLUMN executions")
