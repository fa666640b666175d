"""Reports of reconciliations, and what hosts announce of both sides while they are compared."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
    op.execute(
        """
        CREATE TABLE reconciliations (
            tenant_id text COLLATE "C" NOT NULL,
            report_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            flow_name text NOT NULL DEFAULT '',
            writer_id text NOT NULL DEFAULT '',
            status smallint NOT NULL DEFAULT 1,
            source text NOT NULL DEFAULT '',
            destination text NOT NULL DEFAULT '',
            destination_key text[] NOT NULL DEFAULT '{}',
            repair boolean NOT NULL DEFAULT false,
            delete_extra boolean NOT NULL DEFAULT false,
            most_deletions bigint NOT NULL DEFAULT 0,
            fencing_token bigint NOT NULL DEFAULT 0,
            is_compared boolean NOT NULL DEFAULT false,
            is_repairing boolean NOT NULL DEFAULT false,
            missing bigint NOT NULL DEFAULT 0,
            extra bigint NOT NULL DEFAULT 0,
            different bigint NOT NULL DEFAULT 0,
            equal bigint NOT NULL DEFAULT 0,
            unrelated bigint NOT NULL DEFAULT 0,
            unreadable bigint NOT NULL DEFAULT 0,
            samples json NOT NULL DEFAULT '[]',
            repaired bigint NOT NULL DEFAULT 0,
            removed bigint NOT NULL DEFAULT 0,
            refused bigint NOT NULL DEFAULT 0,
            error_message text NOT NULL DEFAULT '',
            create_time timestamptz NOT NULL DEFAULT now(),
            compare_time timestamptz,
            end_time timestamptz,
            PRIMARY KEY (tenant_id, report_id)
        )
        """
    )
    op.execute("CREATE INDEX reconciliations_by_flow ON reconciliations (tenant_id, flow_id, report_id)")
    # Logged like everything else: rows that vanished with a crash would count as missing records.
    op.execute(
        """
        CREATE TABLE announced (
            tenant_id text COLLATE "C" NOT NULL,
            report_id text COLLATE "C" NOT NULL,
            side smallint NOT NULL,
            place text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            digest bytea NOT NULL,
            shape text NOT NULL,
            marks bytea NOT NULL,
            is_foreign boolean NOT NULL DEFAULT false,
            verdict smallint NOT NULL DEFAULT 0,
            PRIMARY KEY (tenant_id, report_id, side, place)
        ) WITH (fillfactor = 90)
        """
    )
    op.execute(
        """
        CREATE TABLE announced_shapes (
            tenant_id text COLLATE "C" NOT NULL,
            report_id text COLLATE "C" NOT NULL,
            shape text COLLATE "C" NOT NULL,
            names text[] NOT NULL,
            PRIMARY KEY (tenant_id, report_id, shape)
        )
        """
    )
    for table in ("reconciliations", "announced", "announced_shapes"):
        isolate(op, table)
