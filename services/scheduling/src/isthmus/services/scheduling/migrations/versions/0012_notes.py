"""Executions tell what a person should know besides the counts."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE executions ADD COLUMN note text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN note")
