"""Records, their history, streams, writers' positions and quarantine."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_outbox, isolate

revision = "0001"
down_revision = None

# Keys are compared byte by byte: it is the fastest order, and the same on every machine.
_RECORD_COLUMNS = """
    tenant_id text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    stream_number bigint NOT NULL,
    change bigint NOT NULL,
    version integer NOT NULL,
    is_deleted boolean NOT NULL,
    size integer NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    content_hash bytea NOT NULL,
    flow_id text NOT NULL,
    execution_id text NOT NULL,
    origin text NOT NULL,
    data json NOT NULL
"""

_LZ4 = """
    DO $$ BEGIN
        ALTER TABLE {table} ALTER COLUMN {column} SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN NULL; -- a server built without lz4
    END $$
"""


def upgrade() -> None:
    """Create everything."""
    _create_streams()
    _create_records()
    _create_positions()
    _create_quarantine()
    for table, column in (("records", "data"), ("record_history", "data"), ("quarantine", "record")):
        op.execute(_LZ4.format(table=table, column=column))
    for table in ("streams", "records", "record_history", "write_positions", "quarantine"):
        isolate(op, table)
    create_outbox(op)
    create_idempotency(op)


def _create_streams() -> None:
    op.execute(
        """
        CREATE TABLE streams (
            tenant_id text COLLATE "C" NOT NULL,
            stream text COLLATE "C" NOT NULL,
            stream_number bigint GENERATED ALWAYS AS IDENTITY,
            last_change bigint NOT NULL DEFAULT 0,
            records bigint NOT NULL DEFAULT 0,
            primary_key text[] NOT NULL DEFAULT '{}',
            json_schema text NOT NULL DEFAULT '',
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, stream)
        )
        """
    )


def _create_records() -> None:
    op.execute(f"CREATE TABLE records ({_RECORD_COLUMNS}, PRIMARY KEY (tenant_id, stream, key))")
    # The number stands for tenant and stream. An index that begins like the primary key would let the
    # planner take it for lookups by key while the table is too young to have statistics.
    op.execute("CREATE INDEX records_changes ON records (stream_number, change)")
    op.execute(
        f"CREATE TABLE record_history ({_RECORD_COLUMNS}, PRIMARY KEY (tenant_id, stream, key, version))"
    )


def _create_positions() -> None:
    op.execute(
        """
        CREATE TABLE write_positions (
            tenant_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            partition text COLLATE "C" NOT NULL,
            fencing_token bigint NOT NULL DEFAULT 0,
            last_sequence bigint NOT NULL DEFAULT 0,
            rejected json,
            update_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, flow_id, partition)
        ) WITH (fillfactor = 50)
        """
    )


def _create_quarantine() -> None:
    op.execute(
        """
        CREATE TABLE quarantine (
            tenant_id text COLLATE "C" NOT NULL,
            quarantine_id text COLLATE "C" NOT NULL,
            position bigint GENERATED ALWAYS AS IDENTITY,
            flow_id text COLLATE "C" NOT NULL,
            execution_id text NOT NULL,
            stage smallint NOT NULL,
            status smallint NOT NULL,
            key text NOT NULL,
            record text NOT NULL,
            is_binary boolean NOT NULL,
            size integer NOT NULL,
            reasons json NOT NULL,
            reason_words text[] NOT NULL,
            mapping_id text NOT NULL,
            mapping_version integer NOT NULL,
            attempts integer NOT NULL DEFAULT 1,
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now(),
            decided_by text NOT NULL DEFAULT '',
            PRIMARY KEY (tenant_id, quarantine_id)
        )
        """
    )
    op.execute("CREATE INDEX quarantine_by_status ON quarantine (tenant_id, status, position)")
    op.execute("CREATE INDEX quarantine_by_flow ON quarantine (tenant_id, flow_id, status, position)")
