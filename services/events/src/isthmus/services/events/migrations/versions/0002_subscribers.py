"""Programs of tenants that take events from NATS itself."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE subscribers (
            tenant_id text COLLATE "C" NOT NULL,
            subscriber_id text COLLATE "C" NOT NULL,
            name text NOT NULL,
            password_hash bytea NOT NULL,
            created_by text NOT NULL,
            create_time timestamptz NOT NULL,
            end_time timestamptz,
            PRIMARY KEY (tenant_id, subscriber_id)
        )
        """
    )
    isolate(op, "subscribers")
    op.execute(
        "CREATE UNIQUE INDEX subscribers_names ON subscribers (tenant_id, name) WHERE end_time IS NULL"
    )
    # A server that asks who wants to connect knows no tenant.
    op.execute("CREATE INDEX subscribers_by_id ON subscribers (subscriber_id)")


def downgrade() -> None:
    op.execute("DROP TABLE subscribers")
