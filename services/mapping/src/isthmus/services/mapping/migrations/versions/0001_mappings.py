"""Mappings and their versions."""

from alembic import op
from isthmus.kit.migration import create_idempotency, create_outbox, isolate

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table mappings (
            tenant_id text not null,
            mapping_id text not null,
            name text not null,
            instance_id text not null,
            version integer not null,
            create_time timestamptz not null,
            primary key (tenant_id, mapping_id),
            unique (tenant_id, name)
        )""")
    op.execute("""
        create table mapping_versions (
            tenant_id text not null,
            mapping_id text not null,
            version integer not null,
            name text not null,
            description text not null,
            instance_id text not null,
            source_schema text not null,
            target_schema text not null,
            field_mappings text not null,
            transformations text not null,
            fingerprint text not null,
            created_by text not null,
            update_time timestamptz not null,
            primary key (tenant_id, mapping_id, version),
            foreign key (tenant_id, mapping_id) references mappings on delete cascade
        )""")
    op.execute("create index mappings_by_instance on mappings (tenant_id, instance_id)")
    for table in ("mappings", "mapping_versions"):
        isolate(op, table)
    create_outbox(op)
    create_idempotency(op)
