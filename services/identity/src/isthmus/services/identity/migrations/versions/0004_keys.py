"""What an API key is bound to, and how it is used."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("""
        alter table api_keys
            add permissions text[] not null default '{}',
            add allowed_networks text[] not null default '{}',
            add requests_per_second double precision not null default 0,
            add use_count bigint not null default 0,
            add used_networks text[] not null default '{}',
            add usual_rate double precision not null default 0,
            add odd_time timestamptz,
            add remind_time timestamptz
        """)
    op.execute("create index api_keys_to_remind on api_keys (expire_time) where remind_time is null")
