"""Old executions are found fast, to be forgotten."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX executions_ended ON executions (end_time) WHERE end_time IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX executions_ended")
