"""Logins whose browser came back to the gateway, and which whoever began them has to complete."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("""
        alter table provider_logins add column sealed_claims text not null default '',
            add column shown_digest bytea not null default ''""")
