"""Authentication configurations and who was lent their secrets."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_outbox, isolate

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table auth_configs (
            tenant_id text not null,
            auth_config_id text not null,
            name text not null,
            description text not null,
            auth_type text not null check (auth_type in ('api_key', 'basic', 'bearer')),
            header_name text not null,
            prefix text not null,
            query_parameter text not null,
            username text not null,
            is_system_account boolean not null,
            secret_version integer not null,
            expire_time timestamptz,
            last_used_time timestamptz,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null,
            primary key (tenant_id, auth_config_id),
            unique (tenant_id, name)
        )""")
    op.execute("""
        create table leases (
            tenant_id text not null,
            lease_id text not null,
            auth_config_id text not null,
            instance_id text not null,
            host_id text not null,
            secret_version integer not null,
            create_time timestamptz not null,
            expire_time timestamptz not null,
            primary key (tenant_id, lease_id)
        )""")
    op.execute("create index leases_by_config on leases (tenant_id, auth_config_id, create_time desc)")
    for table in ("auth_configs", "leases"):
        isolate(op, table)
    create_outbox(op)
    create_idempotency(op)
