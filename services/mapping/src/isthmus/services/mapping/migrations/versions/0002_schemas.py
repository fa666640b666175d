"""Schemas that flows have met, and what became of changes to them."""

from alembic import op
from isthmus.kit.migration import create_inbox, isolate

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        create table schemas (
            tenant_id text not null,
            flow_id text not null,
            instance_id text not null,
            stream text not null,
            expected text not null,
            declared text not null,
            primary_key text[] not null,
            cursor_field text not null,
            records bigint not null,
            dropped text[] not null,
            change_id text not null,
            first_seen timestamptz not null,
            last_seen timestamptz not null,
            primary key (tenant_id, flow_id, instance_id, stream)
        )""")
    op.execute("""
        create table schema_changes (
            tenant_id text not null,
            change_id text not null,
            flow_id text not null,
            instance_id text not null,
            stream text not null,
            status text not null,
            differences jsonb not null,
            before_schema text not null,
            after_expected text not null,
            after_declared text not null,
            after_primary_key text[] not null,
            after_cursor_field text not null,
            after_records bigint not null,
            mapping_fingerprint text not null,
            create_time timestamptz not null,
            decided_by text not null,
            decide_time timestamptz,
            primary key (tenant_id, change_id)
        )""")
    op.execute("create index schema_changes_by_flow on schema_changes (tenant_id, flow_id, change_id)")
    op.execute("""
        create table schema_policies (
            tenant_id text not null,
            flow_id text not null,
            keeps_unknown boolean not null,
            stops_on_additive boolean not null,
            quarantines_breaking boolean not null,
            primary key (tenant_id, flow_id)
        )""")
    for table in ("schemas", "schema_changes", "schema_policies"):
        isolate(op, table)
    create_inbox(op)
