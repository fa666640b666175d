"""A job finds its hosts by connector alone."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN source_instance_id")


def downgrade() -> None:
    op.execute("ALTER TABLE executions ADD COLUMN source_instance_id text NOT NULL DEFAULT ''")
