"""Generations: which keys a complete refresh has shown, as one row of hashes for each batch."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table."""
    # The row with sequence 0 tells that the generation is finished, and what that did.
    op.execute(
        """
        CREATE TABLE generations (
            tenant_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            generation_id text COLLATE "C" NOT NULL,
            partition text COLLATE "C" NOT NULL,
            fencing_token bigint NOT NULL,
            sequence bigint NOT NULL,
            shown bigint NOT NULL DEFAULT 0,
            removed bigint NOT NULL DEFAULT 0,
            hashes bigint[] NOT NULL DEFAULT '{}',
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, flow_id, generation_id, partition, fencing_token, sequence)
        )
        """
    )
    # Hashes do not get shorter by packing them.
    op.execute("ALTER TABLE generations ALTER COLUMN hashes SET STORAGE EXTERNAL")
    isolate(op, "generations")
