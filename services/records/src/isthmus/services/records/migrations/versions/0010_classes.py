"""Which class fields of records have: of streams, of two-way flows, of what waits in quarantine."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table, and add to what quarantine keeps of each record."""
    op.execute(
        """
        CREATE TABLE field_classes (
            tenant_id text COLLATE "C" NOT NULL,
            kind text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            writer text COLLATE "C" NOT NULL,
            classes text NOT NULL,
            update_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, kind, name, writer)
        )
        """
    )
    isolate(op, "field_classes")
    op.execute("ALTER TABLE quarantine ADD COLUMN classes text NOT NULL DEFAULT ''")
