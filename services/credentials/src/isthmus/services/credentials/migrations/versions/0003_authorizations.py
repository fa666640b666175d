"""Authorizations that a person has begun; what proves them lies in the vault."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        create table authorizations (
            tenant_id text not null,
            authorization_id text not null,
            auth_config_id text not null,
            subject text not null,
            state_hash bytea,
            redirect_uri text not null default '',
            expire_time timestamptz not null,
            poll_seconds double precision not null default 0,
            poll_time timestamptz,
            primary key (tenant_id, authorization_id),
            unique (tenant_id, auth_config_id)
        )""")
    isolate(op, "authorizations")
