"""Access for a while."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("""
        create table support_accesses (
            tenant_id text not null,
            support_access_id text not null,
            requester text not null,
            requester_tenant_id text not null,
            tenant_name text not null,
            requester_name text not null,
            requester_tenant_name text not null,
            reason text not null,
            roles text[] not null,
            duration interval not null,
            state text not null,
            create_time timestamptz not null,
            expire_time timestamptz not null,
            decided_by text not null,
            decide_time timestamptz,
            refusal text not null,
            ended_by text not null,
            end_time timestamptz,
            is_told boolean not null,
            primary key (tenant_id, support_access_id)
        )""")
    op.execute(
        "create index support_accesses_by_requester on support_accesses (requester_tenant_id, requester)"
    )
    op.execute(
        "create index support_accesses_running on support_accesses (expire_time) "
        "where not is_told and state in ('requested', 'approved')"
    )
    isolate(op, "support_accesses")
