"""Who wrote what is said once for each writer; content is text that has been looked at before."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0006"
down_revision = "0005"

# Keys are compared byte by byte, and so is content: the same bytes are the same record.
_COLUMNS = """
    tenant_id text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    stream_number bigint NOT NULL,
    change bigint NOT NULL,
    writer_number bigint NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL,
    is_deleted boolean NOT NULL,
    data text COLLATE "C" NOT NULL
"""

_LZ4 = """
    DO $$ BEGIN
        ALTER TABLE {table} ALTER COLUMN data SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported OR invalid_parameter_value THEN NULL; -- a server built without lz4
    END $$
"""


def upgrade() -> None:
    """Create the table of writers and bring records and their history over."""
    op.execute("CREATE SEQUENCE writer_numbers")
    op.execute(
        """
        CREATE TABLE writers (
            tenant_id text COLLATE "C" NOT NULL,
            writer_number bigint NOT NULL DEFAULT nextval('writer_numbers'),
            flow_id text NOT NULL,
            execution_id text NOT NULL,
            origin text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, writer_number)
        )
        """
    )
    for table in ("records", "record_history"):
        # The owner has no policy; what is forced upon it would hide every row from this migration.
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        """
        INSERT INTO writers (tenant_id, flow_id, execution_id, origin)
        SELECT tenant_id, flow_id, execution_id, origin FROM records
        UNION SELECT tenant_id, flow_id, execution_id, origin FROM record_history
        """
    )
    _remake("records", "PRIMARY KEY (tenant_id, stream, key)")
    _remake("record_history", "PRIMARY KEY (tenant_id, stream, key, version)")
    # The number stands for tenant and stream. An index that begins like the primary key would let the
    # planner take it for lookups by key while the table is too young to have statistics.
    op.execute("CREATE INDEX records_changes ON records (stream_number, change)")
    for table in ("writers", "records", "record_history"):
        isolate(op, table)


def _remake(table: str, key: str) -> None:
    op.execute(f"CREATE TABLE remade ({_COLUMNS})")
    op.execute(_LZ4.format(table="remade"))
    op.execute(
        f"""
        INSERT INTO remade
        SELECT old.tenant_id, old.stream, old.key, old.stream_number, old.change, w.writer_number,
            old.create_time, old.update_time, old.version, old.is_deleted, old.data::text
        FROM {table} AS old JOIN writers AS w ON w.tenant_id = old.tenant_id AND w.flow_id = old.flow_id
            AND w.execution_id = old.execution_id AND w.origin = old.origin
        """
    )
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE remade RENAME TO {table}")
    op.execute(f"ALTER TABLE {table} ADD {key}")
