"""Schemas by name and version, their fields, and which versions have to go together."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("""
        create table schema_subjects (
            tenant_id text not null,
            subject text not null,
            numbered integer not null,
            latest integer not null,
            primary key (tenant_id, subject)
        )""")
    op.execute("""
        create table schema_versions (
            tenant_id text not null,
            subject text not null,
            version integer not null,
            format text not null,
            definition text not null,
            json_schema text not null,
            fingerprint text not null,
            title text not null,
            losses jsonb not null,
            status text not null,
            status_note text not null,
            created_by text not null,
            create_time timestamptz not null,
            primary key (tenant_id, subject, version),
            unique (tenant_id, subject, fingerprint),
            foreign key (tenant_id, subject) references schema_subjects on delete cascade
        )""")
    op.execute("""
        create table schema_fields (
            tenant_id text not null,
            subject text not null,
            path text not null,
            types text not null,
            format text not null,
            description text not null,
            data_class smallint not null,
            is_required boolean not null,
            first_version integer not null,
            last_version integer not null,
            place integer not null,
            primary key (tenant_id, subject, path),
            foreign key (tenant_id, subject) references schema_subjects on delete cascade
        )""")
    op.execute("""
        create table schema_compatibility (
            tenant_id text not null,
            subject text not null,
            level text,
            policy text,
            primary key (tenant_id, subject)
        )""")
    for table in ("schema_subjects", "schema_versions", "schema_fields", "schema_compatibility"):
        isolate(op, table)
