"""OAuth clients, and what is known of their tokens; the tokens themselves lie in the vault."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # Which methods there are is the domain's to say; the first migration knew only three.
    op.execute("alter table auth_configs drop constraint auth_configs_auth_type_check")
    op.execute("alter table auth_configs add column oauth jsonb not null default '{}'")
    op.execute("""
        create table tokens (
            tenant_id text not null,
            auth_config_id text not null,
            state text not null,
            epoch integer not null default 1,
            fencing_token bigint not null default 0,
            holder text not null default '',
            held_until timestamptz,
            version integer not null default 0,
            token_id text not null default '',
            issue_time timestamptz,
            expire_time timestamptz,
            refresh_time timestamptz,
            scopes text[] not null default '{}',
            failure_reason text not null default '',
            failure_message text not null default '',
            failure_is_permanent boolean not null default false,
            failures integer not null default 0,
            rest_until timestamptz,
            primary key (tenant_id, auth_config_id)
        )""")
    isolate(op, "tokens")
