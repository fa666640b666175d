"""How long data is kept, whose data stays out, and how far erasures are."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the tables, and the mark of streams into which somebody's data may not come back."""
    op.execute("ALTER TABLE streams ADD COLUMN is_suppressed boolean NOT NULL DEFAULT false")
    op.execute(
        """
        CREATE TABLE retention (
            tenant_id text COLLATE "C" NOT NULL,
            stream text COLLATE "C" NOT NULL,
            records bigint,
            history bigint,
            deleted bigint,
            quarantine bigint,
            conflicts bigint,
            PRIMARY KEY (tenant_id, stream)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE peppers (
            tenant_id text COLLATE "C" NOT NULL,
            pepper bytea NOT NULL,
            PRIMARY KEY (tenant_id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE suppressions (
            tenant_id text COLLATE "C" NOT NULL,
            marker bytea NOT NULL,
            removes boolean NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, marker)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE erasures (
            tenant_id text COLLATE "C" NOT NULL,
            erasure_id text COLLATE "C" NOT NULL,
            marker bytea NOT NULL,
            removes boolean NOT NULL,
            position text NOT NULL DEFAULT '',
            counts text NOT NULL DEFAULT '{}',
            is_done boolean NOT NULL DEFAULT false,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, erasure_id)
        )
        """
    )
    for table in ("retention", "peppers", "suppressions", "erasures"):
        isolate(op, table)
