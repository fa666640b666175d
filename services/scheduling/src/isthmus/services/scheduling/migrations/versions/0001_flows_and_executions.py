"""Flows, schedules, executions, attempts and checkpoints."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_inbox, create_outbox, isolate

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = {
    "flows": """
        flow_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        spec jsonb NOT NULL,
        is_active boolean NOT NULL,
        source_instance_id text NOT NULL,
        destination_instance_id text NOT NULL,
        source_connector_id text NOT NULL,
        epoch integer NOT NULL DEFAULT 1,
        fencing_token bigint NOT NULL DEFAULT 0,
        created_by text NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        revision integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, flow_id),
        UNIQUE (tenant_id, name)
    """,
    "instances": """
        instance_id text COLLATE "C" NOT NULL,
        is_active boolean NOT NULL,
        update_time timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, instance_id)
    """,
    "schedules": """
        schedule_id text COLLATE "C" NOT NULL,
        flow_id text COLLATE "C" NOT NULL,
        spec jsonb NOT NULL,
        is_active boolean NOT NULL,
        event_trigger text NOT NULL,
        skips_missed boolean NOT NULL,
        last_execution_time timestamptz,
        next_execution_time timestamptz,
        created_by text NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        revision integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, schedule_id),
        FOREIGN KEY (tenant_id, flow_id) REFERENCES flows
    """,
    "executions": """
        execution_id text COLLATE "C" NOT NULL,
        flow_id text COLLATE "C" NOT NULL,
        flow jsonb NOT NULL,
        source_instance_id text NOT NULL,
        connector_id text NOT NULL,
        lineage text COLLATE "C" NOT NULL,
        schedule_id text NOT NULL DEFAULT '',
        trigger text NOT NULL,
        status text NOT NULL,
        initiated_by text NOT NULL,
        create_time timestamptz NOT NULL,
        start_time timestamptz,
        end_time timestamptz,
        counts_before jsonb NOT NULL DEFAULT '{}',
        counts_live jsonb NOT NULL DEFAULT '{}',
        counts_durable jsonb NOT NULL DEFAULT '{}',
        expected_records bigint NOT NULL DEFAULT 0,
        mapping_version integer NOT NULL DEFAULT 0,
        attempts integer NOT NULL DEFAULT 0,
        failures integer NOT NULL DEFAULT 0,
        idle_stops integer NOT NULL DEFAULT 0,
        fencing_token bigint NOT NULL DEFAULT 0,
        host_id text NOT NULL DEFAULT '',
        lease_expire_time timestamptz,
        next_attempt_time timestamptz,
        dispatch_time timestamptz,
        dispatches integer NOT NULL DEFAULT 0,
        stop text NOT NULL DEFAULT '',
        stop_time timestamptz,
        failure jsonb,
        quarantine_ids text[] NOT NULL DEFAULT '{}',
        correlation_id text NOT NULL,
        traceparent text NOT NULL,
        revision integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, execution_id)
    """,
    "attempts": """
        execution_id text COLLATE "C" NOT NULL,
        attempt integer NOT NULL,
        fencing_token bigint NOT NULL,
        host_id text NOT NULL,
        start_time timestamptz NOT NULL,
        end_time timestamptz,
        outcome text NOT NULL DEFAULT '',
        failure jsonb,
        counts jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, execution_id, attempt),
        FOREIGN KEY (tenant_id, execution_id) REFERENCES executions
    """,
    "checkpoints": """
        flow_id text COLLATE "C" NOT NULL,
        lineage text COLLATE "C" NOT NULL,
        partition text COLLATE "C" NOT NULL,
        state bytea NOT NULL,
        schema_version integer NOT NULL,
        summary text NOT NULL,
        is_complete boolean NOT NULL,
        execution_id text NOT NULL,
        fencing_token bigint NOT NULL,
        at_read bigint NOT NULL,
        PRIMARY KEY (tenant_id, flow_id, lineage, partition),
        FOREIGN KEY (tenant_id, flow_id) REFERENCES flows
    """,
    "waiting": """
        waiting_id text COLLATE "C" NOT NULL,
        flow_id text COLLATE "C" NOT NULL,
        trigger text NOT NULL,
        schedule_id text COLLATE "C" NOT NULL DEFAULT '',
        initiated_by text NOT NULL,
        quarantine_ids text[] NOT NULL DEFAULT '{}',
        PRIMARY KEY (tenant_id, waiting_id),
        FOREIGN KEY (tenant_id, flow_id) REFERENCES flows
    """,
}

INDEXES = [
    # One live execution a flow: whoever comes second is told so by the database.
    "CREATE UNIQUE INDEX executions_live ON executions (tenant_id, flow_id) "
    "WHERE status IN ('pending', 'running')",
    "CREATE INDEX executions_by_flow ON executions (tenant_id, flow_id, execution_id)",
    "CREATE INDEX executions_to_dispatch ON executions (dispatch_time) WHERE status = 'pending'",
    "CREATE INDEX executions_leased ON executions (lease_expire_time) WHERE status = 'running'",
    "CREATE INDEX schedules_due ON schedules (next_execution_time) "
    "WHERE is_active AND next_execution_time IS NOT NULL",
    "CREATE INDEX schedules_by_flow ON schedules (tenant_id, flow_id)",
    "CREATE INDEX schedules_by_event ON schedules (tenant_id, event_trigger) "
    "WHERE is_active AND event_trigger <> ''",
    "CREATE INDEX waiting_by_flow ON waiting (tenant_id, flow_id, waiting_id)",
    # An event that comes while the flow is busy is made up for by one execution a schedule.
    "CREATE UNIQUE INDEX waiting_schedule ON waiting (tenant_id, schedule_id) WHERE schedule_id <> ''",
]


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f'CREATE TABLE {table} (tenant_id text COLLATE "C" NOT NULL, {columns})')
        isolate(op, table)
    for index in INDEXES:
        op.execute(index)
    create_outbox(op)
    create_inbox(op)
    create_idempotency(op)


def downgrade() -> None:
    for table in (*reversed(TABLES), "outbox", "inbox", "idempotency"):
        op.execute(f"DROP TABLE {table}")
