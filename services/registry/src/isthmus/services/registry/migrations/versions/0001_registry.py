"""Connectors with their versions, instances with their revisions, hosts."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_outbox, isolate, share

revision = "0001"
down_revision = None


def upgrade() -> None:
    _connectors()
    _instances()
    op.execute("""
        create table hosts (
            tenant_id text not null,
            host_id text collate "C" not null,
            connector_id text collate "C" not null,
            connector_version text not null,
            address text not null,
            start_time timestamptz not null,
            last_seen_time timestamptz not null,
            running_executions integer not null,
            primary key (tenant_id, host_id)
        )""")
    op.execute("create index hosts_by_connector on hosts (connector_id, last_seen_time)")
    for table in ("connectors", "connector_versions", "hosts"):
        share(op, table)
    for table in ("instances", "configuration_revisions"):
        isolate(op, table)
    create_outbox(op)
    create_idempotency(op)


def _connectors() -> None:
    op.execute("""
        create table connectors (
            tenant_id text not null,
            connector_id text collate "C" not null,
            newest_version text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            primary key (tenant_id, connector_id)
        )""")
    op.execute("""
        create table connector_versions (
            tenant_id text not null,
            connector_id text collate "C" not null,
            version text not null,
            digest text not null,
            document text not null,
            create_time timestamptz not null,
            primary key (tenant_id, connector_id, version),
            foreign key (tenant_id, connector_id) references connectors on delete cascade
        )""")


def _instances() -> None:
    op.execute("""
        create table instances (
            tenant_id text not null,
            instance_id text collate "C" not null,
            name text not null,
            description text not null,
            connector_id text collate "C" not null,
            connector_version text not null,
            status text not null,
            configuration text not null,
            auth_config_id text not null,
            configuration_revision integer not null,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            error_message text not null,
            last_connected_time timestamptz,
            revision integer not null,
            primary key (tenant_id, instance_id),
            unique (tenant_id, name)
        )""")
    op.execute("create index instances_by_connector on instances (tenant_id, connector_id)")
    op.execute("create index instances_by_auth_config on instances (tenant_id, auth_config_id)")
    op.execute("""
        create table configuration_revisions (
            tenant_id text not null,
            instance_id text collate "C" not null,
            revision integer not null,
            configuration text not null,
            auth_config_id text not null,
            created_by text not null,
            create_time timestamptz not null,
            rolled_back_to integer not null,
            primary key (tenant_id, instance_id, revision),
            foreign key (tenant_id, instance_id) references instances on delete cascade
        )""")
