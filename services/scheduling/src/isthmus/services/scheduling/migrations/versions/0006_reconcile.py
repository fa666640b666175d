"""Reconciliations: executions that compare both sides of a flow."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE executions ADD COLUMN reconcile jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN reconcile")
