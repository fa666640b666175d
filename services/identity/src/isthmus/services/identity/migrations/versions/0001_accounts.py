"""Tenants, service accounts and API keys."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_outbox, isolate

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table tenants (
            tenant_id text primary key,
            name text not null unique,
            display_name text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null
        )""")
    op.execute("""
        create table service_accounts (
            tenant_id text not null,
            service_account_id text not null,
            name text not null,
            description text not null,
            roles text[] not null,
            is_disabled boolean not null,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null,
            primary key (tenant_id, service_account_id),
            unique (tenant_id, name)
        )""")
    op.execute("""
        create table api_keys (
            tenant_id text not null,
            api_key_id text not null,
            service_account_id text not null,
            name text not null,
            digest bytea not null,
            expire_time timestamptz not null,
            created_by text not null,
            create_time timestamptz not null,
            revoke_time timestamptz,
            last_used_time timestamptz,
            primary key (tenant_id, api_key_id)
        )""")
    # A key is looked up before its tenant is known.
    op.execute("create index api_keys_by_id on api_keys (api_key_id)")
    op.execute("create index api_keys_by_account on api_keys (tenant_id, service_account_id)")
    for table in ("tenants", "service_accounts", "api_keys"):
        isolate(op, table)
    create_outbox(op)
    create_idempotency(op)
