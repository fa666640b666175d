"""Groups, roles of a tenant's own, and recovery codes."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        create table groups (
            tenant_id text not null,
            group_id text not null,
            name text not null,
            description text not null,
            external_id text not null,
            roles text[] not null,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null,
            primary key (tenant_id, group_id),
            unique (tenant_id, name)
        )""")
    op.execute(
        "create index groups_by_external_id on groups (tenant_id, external_id) where external_id <> ''"
    )
    # A member is named as in logs and audit: `user:usr_…` or `service_account:svc_…`.
    op.execute("""
        create table group_members (
            tenant_id text not null,
            group_id text not null,
            member text not null,
            primary key (tenant_id, group_id, member),
            foreign key (tenant_id, group_id) references groups on delete cascade
        )""")
    op.execute("create index group_members_by_member on group_members (tenant_id, member)")
    op.execute("""
        create table roles (
            tenant_id text not null,
            role text not null,
            description text not null,
            permissions text[] not null,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null,
            primary key (tenant_id, role)
        )""")
    op.execute("""
        create table recovery_codes (
            tenant_id text not null,
            user_id text not null,
            digest bytea not null,
            use_time timestamptz,
            primary key (tenant_id, user_id, digest),
            foreign key (tenant_id, user_id) references users on delete cascade
        )""")
    for table in ("groups", "group_members", "roles", "recovery_codes"):
        isolate(op, table)
