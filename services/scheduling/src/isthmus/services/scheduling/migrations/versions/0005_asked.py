"""Executions may be asked for something special, and a dry run keeps what it has found."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE executions ADD COLUMN asked jsonb NOT NULL DEFAULT '{}', ADD COLUMN preview bytea"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN asked, DROP COLUMN preview")
