"""Plans, their runs, and the executions and schedules that belong to them."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = {
    "plans": """
        plan_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        spec jsonb NOT NULL,
        is_active boolean NOT NULL,
        flow_ids text[] NOT NULL,
        created_by text NOT NULL,
        create_time timestamptz NOT NULL,
        update_time timestamptz NOT NULL,
        revision integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, plan_id),
        UNIQUE (tenant_id, name)
    """,
    "plan_runs": """
        run_id text COLLATE "C" NOT NULL,
        plan_id text COLLATE "C" NOT NULL,
        plan jsonb NOT NULL,
        steps jsonb NOT NULL,
        status text NOT NULL,
        halt text NOT NULL DEFAULT '',
        is_paused boolean NOT NULL DEFAULT false,
        is_cancel_requested boolean NOT NULL DEFAULT false,
        reason text NOT NULL DEFAULT '',
        message text NOT NULL DEFAULT '',
        trigger text NOT NULL,
        initiated_by text NOT NULL,
        schedule_id text NOT NULL DEFAULT '',
        create_time timestamptz NOT NULL,
        end_time timestamptz,
        look_time timestamptz,
        correlation_id text NOT NULL,
        revision integer NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, run_id)
    """,
}
LIVE = "status IN ('running', 'compensating')"
INDEXES = [
    # One live run a plan: whoever comes second is told so by the database.
    f"CREATE UNIQUE INDEX plan_runs_live ON plan_runs (tenant_id, plan_id) WHERE {LIVE}",
    "CREATE INDEX plan_runs_by_plan ON plan_runs (tenant_id, plan_id, run_id)",
    "CREATE INDEX plan_runs_ended ON plan_runs (end_time) WHERE end_time IS NOT NULL",
    # Each step is started once, and undone once, whoever tries.
    "CREATE UNIQUE INDEX executions_of_steps ON executions (tenant_id, plan_run_id, plan_step, plan_undo) "
    "WHERE plan_run_id <> ''",
    "CREATE INDEX executions_unsettled ON executions (tenant_id, plan_run_id) WHERE plan_unsettled",
    "CREATE INDEX schedules_by_plan ON schedules (tenant_id, plan_id) WHERE plan_id IS NOT NULL",
]


def upgrade() -> None:
    for table, columns in TABLES.items():
        op.execute(f'CREATE TABLE {table} (tenant_id text COLLATE "C" NOT NULL, {columns})')
        isolate(op, table)
    op.execute(
        """
        ALTER TABLE executions
            ADD COLUMN plan_run_id text COLLATE "C" NOT NULL DEFAULT '',
            ADD COLUMN plan_step text NOT NULL DEFAULT '',
            ADD COLUMN plan_undo boolean NOT NULL DEFAULT false,
            ADD COLUMN plan_unsettled boolean NOT NULL DEFAULT false
        """
    )
    op.execute(
        """
        ALTER TABLE schedules
            ALTER COLUMN flow_id DROP NOT NULL,
            ADD COLUMN plan_id text COLLATE "C",
            ADD FOREIGN KEY (tenant_id, plan_id) REFERENCES plans,
            ADD CHECK (num_nonnulls(flow_id, plan_id) = 1)
        """
    )
    for index in INDEXES:
        op.execute(index)


def downgrade() -> None:
    op.execute("DELETE FROM schedules WHERE plan_id IS NOT NULL")
    op.execute("ALTER TABLE schedules DROP COLUMN plan_id, ALTER COLUMN flow_id SET NOT NULL")
    for column in ("plan_run_id", "plan_step", "plan_undo", "plan_unsettled"):
        op.execute(f"ALTER TABLE executions DROP COLUMN {column}")
    op.execute("DROP TABLE plan_runs")
    op.execute("DROP TABLE plans")
