"""Additions: one row with the keys of many new records stands for their places in the index of changes."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0008"
down_revision = "0007"

_TENANT = "tenant_id = (SELECT current_setting('isthmus.tenant', true))"


def upgrade() -> None:
    """Create the table, and leave out of the index what it tells."""
    op.execute(
        """
        CREATE TABLE additions (
            tenant_id text COLLATE "C" NOT NULL,
            stream_number bigint NOT NULL,
            first_change bigint NOT NULL,
            last_change bigint NOT NULL,
            keys text[] COLLATE "C" NOT NULL,
            PRIMARY KEY (tenant_id, stream_number, last_change)
        )
        """
    )
    op.execute("ALTER TABLE additions ALTER COLUMN keys SET STORAGE EXTERNAL")
    isolate(op, "additions")
    for table in ("records", "record_history"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN is_addition boolean NOT NULL DEFAULT false")
        # Asked for once a statement and not once a row, which is the same within a transaction.
        op.execute(f"ALTER POLICY tenant ON {table} USING ({_TENANT}) WITH CHECK ({_TENANT})")
    op.execute("DROP INDEX records_changes")
    # The number stands for tenant and stream. An index that begins like the primary key would let the
    # planner take it for lookups by key while the table is too young to have statistics.
    op.execute("CREATE INDEX records_changes ON records (stream_number, change) WHERE NOT is_addition")
