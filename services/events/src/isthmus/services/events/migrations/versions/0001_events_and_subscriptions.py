"""Events, subscriptions and what they have to do."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_inbox, create_outbox, isolate

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = {
    # The last position given out to a tenant's events. Its row is locked until an event's transaction
    # ends, so positions become visible in their order and whoever follows them misses none.
    "tails": """
        last bigint NOT NULL,
        PRIMARY KEY (tenant_id)
    """,
    "events": """
        event_id text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        type text COLLATE "C" NOT NULL,
        source text NOT NULL,
        subject text NOT NULL,
        time timestamptz NOT NULL,
        data text NOT NULL,
        traceparent text NOT NULL,
        correlation_id text NOT NULL,
        nats_subject text NOT NULL,
        stored_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, event_id),
        UNIQUE (tenant_id, position)
    """,
    "subscriptions": """
        subscription_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        instance_id text NOT NULL,
        event_type text NOT NULL,
        criteria jsonb NOT NULL,
        action_type text NOT NULL,
        action_config jsonb NOT NULL,
        is_active boolean NOT NULL,
        created_by text NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        revision integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, subscription_id),
        UNIQUE (tenant_id, name)
    """,
    "deliveries": """
        subscription_id text COLLATE "C" NOT NULL,
        event_id text COLLATE "C" NOT NULL,
        position bigint NOT NULL,
        action_type text NOT NULL,
        state text NOT NULL DEFAULT 'pending',
        attempts integer NOT NULL DEFAULT 0,
        next_time timestamptz NOT NULL,
        claimed_until timestamptz,
        reason text NOT NULL DEFAULT '',
        create_time timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, subscription_id, event_id),
        FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions ON DELETE CASCADE
    """,
}

INDEXES = [
    "CREATE INDEX events_by_type ON events (tenant_id, type, position)",
    "CREATE INDEX events_by_subject ON events (tenant_id, subject, position)",
    "CREATE INDEX events_by_time ON events (tenant_id, time)",
    "CREATE INDEX events_stored ON events (stored_at)",
    "CREATE INDEX deliveries_due ON deliveries (next_time) WHERE state = 'pending'",
    "CREATE INDEX deliveries_ended ON deliveries (create_time) WHERE state <> 'pending'",
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
