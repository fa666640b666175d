"""Users, their sessions, and attempts to log in that failed."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        create table users (
            tenant_id text not null,
            user_id text not null,
            name text not null,
            display_name text not null,
            email text not null,
            external_id text not null,
            roles text[] not null,
            is_disabled boolean not null,
            password_hash text,
            must_change_password boolean not null,
            has_second_factor boolean not null,
            last_step bigint not null,
            last_login_time timestamptz,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null,
            primary key (tenant_id, user_id),
            unique (tenant_id, name)
        )""")
    op.execute("create index users_by_external_id on users (tenant_id, external_id) where external_id <> ''")
    op.execute("""
        create table sessions (
            tenant_id text not null,
            session_id text not null,
            user_id text not null,
            methods text[] not null,
            client_address text not null,
            create_time timestamptz not null,
            refresh_time timestamptz,
            expire_time timestamptz not null,
            end_time timestamptz,
            end_reason text not null,
            primary key (tenant_id, session_id),
            foreign key (tenant_id, user_id) references users on delete cascade
        )""")
    op.execute("create index sessions_by_user on sessions (tenant_id, user_id)")
    op.execute("create index sessions_over on sessions (expire_time)")
    op.execute("""
        create table refresh_tokens (
            tenant_id text not null,
            refresh_token_id text not null,
            session_id text not null,
            digest bytea not null,
            use_time timestamptz,
            primary key (tenant_id, refresh_token_id),
            foreign key (tenant_id, session_id) references sessions on delete cascade
        )""")
    # A refresh token is looked up before its tenant is known.
    op.execute("create index refresh_tokens_by_id on refresh_tokens (refresh_token_id)")
    op.execute("create index refresh_tokens_by_session on refresh_tokens (tenant_id, session_id)")
    # Names that nobody has are counted as well, so that the count does not tell which names there are.
    op.execute("""
        create table login_failures (
            tenant_id text not null,
            name text not null,
            failures integer not null,
            locked_until timestamptz,
            update_time timestamptz not null,
            primary key (tenant_id, name)
        )""")
    op.execute("create index login_failures_old on login_failures (update_time)")
    for table in ("users", "sessions", "refresh_tokens", "login_failures"):
        isolate(op, table)
