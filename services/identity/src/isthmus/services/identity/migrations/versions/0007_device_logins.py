"""Logins on machines without a browser."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    # A login belongs to no tenant before somebody has confirmed it.
    op.execute("""
        create table device_logins (
            tenant_id text not null,
            digest bytea not null,
            user_digest bytea not null,
            client_name text not null,
            client_address text not null,
            provider_id text not null,
            sealed text not null,
            poll_seconds double precision not null,
            poll_time timestamptz,
            state text not null,
            user_id text not null,
            methods text[] not null,
            create_time timestamptz not null,
            expire_time timestamptz not null,
            primary key (tenant_id, digest)
        )""")
    op.execute("create unique index device_logins_by_digest on device_logins (digest)")
    op.execute(
        "create unique index device_logins_by_code on device_logins (user_digest) where state = 'waiting' "
        "and user_digest <> ''"
    )
    isolate(op, "device_logins")
