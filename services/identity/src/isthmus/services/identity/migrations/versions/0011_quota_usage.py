"""What processes have counted of quotas, brought together."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("""
        create table quota_usage (
            tenant_id text not null,
            quota text not null,
            used double precision not null,
            rate double precision not null,
            period double precision not null,
            update_time timestamptz not null,
            primary key (tenant_id, quota)
        )""")
    isolate(op, "quota_usage")


def downgrade() -> None:
    op.execute("drop table quota_usage")
