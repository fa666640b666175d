"""The audit trail: a chain of records for each tenant, to which nobody can do anything but add."""

from alembic import op
from isthmus.kit.migration import create_outbox, isolate

revision = "0002"
down_revision = "0001"

_REFUSE = """
    create function refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception 'the audit trail can only be added to' using errcode = 'insufficient_privilege';
    end $$"""


def upgrade() -> None:
    op.execute("""
        create table audit_records (
            tenant_id text not null,
            sequence bigint not null,
            record_id text not null,
            time timestamptz not null,
            service text not null,
            method text not null,
            kind text not null,
            subject text not null,
            subject_kind text not null,
            outcome text not null,
            reason text not null,
            peer text not null,
            correlation_id text not null,
            targets text[] not null,
            details text not null,
            previous_hash text not null,
            hash text not null,
            primary key (tenant_id, sequence)
        )""")
    op.execute("create unique index audit_records_once on audit_records (tenant_id, record_id)")
    op.execute("""
        create table audit_checkpoints (
            tenant_id text not null,
            sequence bigint not null,
            hash text not null,
            time timestamptz not null,
            primary key (tenant_id, sequence)
        )""")
    op.execute(_REFUSE)
    for table in ("audit_records", "audit_checkpoints"):
        isolate(op, table)
        # What is granted to new tables by default is too much for these.
        roles = "isthmus_monitoring, isthmus_monitoring_system"
        op.execute(f"revoke update, delete, truncate, references, trigger on {table} from {roles}")
        op.execute(
            f"create trigger only_added before update or delete on {table}"
            " for each row execute function refuse_change()"
        )
        op.execute(
            f"create trigger never_emptied before truncate on {table}"
            " for each statement execute function refuse_change()"
        )
    create_outbox(op)
