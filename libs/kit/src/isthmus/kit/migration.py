"""Helpers for Alembic migrations: isolation by tenant and the chassis' own tables.

def upgrade() -> None:
op.create_table("instance", sa.Column("tenant_id", sa.Text, nullable=False), …)
isolate(op, "instance")
create_outbox(op)
"""

import re
from typing import Any

_OWN = "tenant_id = current_setting('isthmus.tenant', true)"
EVERYBODY = "*"


def isolate(op: Any, table: str) -> None:
    """Bind a table's rows to tenants: row-level security, forced, with policies for both roles.

    Args:
        op: Alembic's operations.
        table: A table with a column `tenant_id text not null`.
    """
    _protect(op, table, reading=_OWN)


def share(op: Any, table: str) -> None:
    """Bind a table's rows to tenants, and let all tenants read the rows of tenant `*`.

    Only the system role writes the shared rows.
    """
    _protect(op, table, reading=f"{_OWN} OR tenant_id = '{EVERYBODY}'")


def create_outbox(op: Any) -> None:
    """Create the table `outbox`, where events wait for the relay."""
    op.execute(
        """
        CREATE TABLE outbox (
            tenant_id text NOT NULL,
            id text NOT NULL,
            position bigint GENERATED ALWAYS AS IDENTITY,
            subject text NOT NULL,
            body text NOT NULL,
            headers jsonb NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL DEFAULT now(),
            sent_at timestamptz,
            sent_to text,
            sent_sequence bigint,
            PRIMARY KEY (tenant_id, id)
        )
        """
    )
    op.execute("CREATE INDEX outbox_waiting ON outbox (position) WHERE sent_at IS NULL")
    op.execute("CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL")
    isolate(op, "outbox")


def create_inbox(op: Any) -> None:
    """Create the table `inbox`, which remembers events already handled."""
    op.execute(
        """
        CREATE TABLE inbox (
            tenant_id text NOT NULL,
            consumer text NOT NULL,
            event_id text NOT NULL,
            handled_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, consumer, event_id)
        )
        """
    )
    op.execute("CREATE INDEX inbox_handled ON inbox (handled_at)")
    isolate(op, "inbox")


def create_idempotency(op: Any) -> None:
    """Create the table `idempotency`, which remembers answers by request id."""
    op.execute(
        """
        CREATE TABLE idempotency (
            tenant_id text NOT NULL,
            rpc text NOT NULL,
            request_id text NOT NULL,
            fingerprint bytea NOT NULL,
            response bytea,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, rpc, request_id)
        )
        """
    )
    op.execute("CREATE INDEX idempotency_created ON idempotency (created_at)")
    isolate(op, "idempotency")


def _protect(op: Any, table: str, *, reading: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", table):
        raise ValueError(f"name the table in small letters, not {table!r}")
    service = op.get_context().config.attributes["service"]
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    runtime, system = f"isthmus_{service}", f"isthmus_{service}_system"
    if reading == _OWN:
        op.execute(f"CREATE POLICY tenant ON {table} TO {runtime} USING ({_OWN}) WITH CHECK ({_OWN})")
    else:
        op.execute(f"CREATE POLICY reading ON {table} FOR SELECT TO {runtime} USING ({reading})")
        op.execute(f"CREATE POLICY adding ON {table} FOR INSERT TO {runtime} WITH CHECK ({_OWN})")
        op.execute(
            f"CREATE POLICY changing ON {table} FOR UPDATE TO {runtime} USING ({_OWN}) WITH CHECK ({_OWN})"
        )
        op.execute(f"CREATE POLICY removing ON {table} FOR DELETE TO {runtime} USING ({_OWN})")
    op.execute(f"CREATE POLICY system ON {table} TO {system} USING (true) WITH CHECK (true)")


__all__ = ["EVERYBODY", "create_idempotency", "create_inbox", "create_outbox", "isolate", "share"]
