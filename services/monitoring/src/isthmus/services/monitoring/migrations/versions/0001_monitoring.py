"""Logs, usage by the hour, and how executions ended."""

from alembic import op
from isthmus.kit.migration import create_inbox, isolate

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table logs (
            tenant_id text not null,
            log_id text not null,
            time timestamptz not null,
            kind text not null,
            message text not null,
            instance_id text not null,
            details text not null,
            user_id text not null,
            operation text not null,
            execution_id text not null,
            correlation_id text not null,
            primary key (tenant_id, log_id)
        )""")
    op.execute("create index logs_by_time on logs (tenant_id, time desc, log_id desc)")
    op.execute("create index logs_by_instance on logs (tenant_id, instance_id, time desc, log_id desc)")
    op.execute("create index logs_by_execution on logs (tenant_id, execution_id, time desc, log_id desc)")
    op.execute("""
        create table usage_samples (
            tenant_id text not null,
            sample_id text not null,
            time timestamptz not null,
            primary key (tenant_id, sample_id)
        )""")
    op.execute("""
        create table usage_hours (
            tenant_id text not null,
            instance_id text not null,
            hour timestamptz not null,
            operations bigint not null,
            failures bigint not null,
            unavailable bigint not null,
            api_calls bigint not null,
            response_time_ms double precision not null,
            bytes_moved bigint not null,
            records bigint not null,
            throttled bigint not null,
            primary key (tenant_id, instance_id, hour)
        )""")
    op.execute("create index usage_by_hour on usage_hours (tenant_id, hour desc, instance_id)")
    op.execute("""
        create table runs (
            tenant_id text not null,
            instance_id text not null,
            execution_id text not null,
            flow_id text not null,
            status text not null,
            end_time timestamptz not null,
            quarantined bigint not null,
            error text not null,
            primary key (tenant_id, instance_id, execution_id)
        )""")
    op.execute("create index runs_by_time on runs (tenant_id, instance_id, end_time desc)")
    for table in ("logs", "usage_samples", "usage_hours", "runs"):
        isolate(op, table)
    create_inbox(op)
