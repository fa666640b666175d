"""Two-way flows: executions have legs, and hosts of the destination carry one of them out."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE flows ADD COLUMN destination_connector_id text NOT NULL DEFAULT ''")
    op.execute(
        """
        ALTER TABLE executions
            ADD COLUMN destination_connector_id text NOT NULL DEFAULT '',
            ADD COLUMN epoch integer NOT NULL DEFAULT 1,
            ADD COLUMN leg text NOT NULL DEFAULT '',
            ADD COLUMN legs jsonb NOT NULL DEFAULT '[]'
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE flows DROP COLUMN destination_connector_id")
    for column in ("destination_connector_id", "epoch", "leg", "legs"):
        op.execute(f"ALTER TABLE executions DROP COLUMN {column}")
