"""What tenants may have and do at most."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
        create table quotas (
            tenant_id text primary key,
            limits jsonb not null,
            changed_by text not null,
            update_time timestamptz not null,
            revision integer not null
        )""")
    isolate(op, "quotas")
