"""Links: what destinations without transactions have of a flow's records, and under which ids."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    # An update touches no indexed column, so with some room on each page it costs no index entry.
    op.execute(
        """
        CREATE TABLE links (
            tenant_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            external_id text NOT NULL DEFAULT '',
            content_hash bytea NOT NULL DEFAULT '',
            correlation_id text NOT NULL DEFAULT '',
            destination text NOT NULL DEFAULT '',
            state smallint NOT NULL,
            is_in_doubt boolean NOT NULL DEFAULT false,
            operation smallint NOT NULL DEFAULT 1,
            intent_hash bytea NOT NULL DEFAULT '',
            fencing_token bigint NOT NULL,
            claim text NOT NULL DEFAULT '',
            open_since timestamptz,
            held_until timestamptz,
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, flow_id, key)
        ) WITH (fillfactor = 80)
        """
    )
    op.execute(
        """
        CREATE TABLE link_flows (
            tenant_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            fencing_token bigint NOT NULL,
            PRIMARY KEY (tenant_id, flow_id)
        ) WITH (fillfactor = 50)
        """
    )
    for table in ("links", "link_flows"):
        isolate(op, table)
