"""What directories say of the users and groups that they provision, and what is put up with from whom."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    # Null for whoever was not made by a directory.
    op.execute("alter table users add scim jsonb")
    op.execute("alter table groups add scim jsonb")
    for table in ("users", "groups"):
        op.execute(
            f"create index {table}_by_directory on {table} (tenant_id, (scim ->> 'externalId')) "
            "where scim is not null"
        )
    op.execute("create index groups_by_folded_name on groups (tenant_id, lower(name)) where scim is not null")
    op.execute("""
        create table scim_dialects (
            tenant_id text not null,
            service_account_id text not null,
            dialect text not null,
            primary key (tenant_id, service_account_id)
        )""")
    isolate(op, "scim_dialects")
