"""Steps of plans may call an action of a connector."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE action_calls (
            tenant_id text COLLATE "C" NOT NULL,
            call_id text COLLATE "C" NOT NULL,
            run_id text COLLATE "C" NOT NULL,
            step text NOT NULL,
            undoes boolean NOT NULL,
            instance_id text NOT NULL,
            action text NOT NULL,
            input text NOT NULL,
            retries integer NOT NULL,
            status text NOT NULL DEFAULT 'pending',
            attempts integer NOT NULL DEFAULT 0,
            next_time timestamptz NOT NULL,
            lease_expire_time timestamptz,
            is_unsure boolean NOT NULL DEFAULT false,
            is_unsettled boolean NOT NULL DEFAULT true,
            reason text NOT NULL DEFAULT '',
            message text NOT NULL DEFAULT '',
            output text NOT NULL DEFAULT '',
            end_time timestamptz,
            PRIMARY KEY (tenant_id, call_id),
            -- Each step is called once, and undone once, whoever tries.
            UNIQUE (tenant_id, run_id, step, undoes),
            FOREIGN KEY (tenant_id, run_id) REFERENCES plan_runs ON DELETE CASCADE
        )
        """
    )
    isolate(op, "action_calls")
    op.execute("CREATE INDEX action_calls_live ON action_calls (next_time) WHERE end_time IS NULL")
    op.execute("CREATE INDEX action_calls_unsettled ON action_calls (tenant_id, run_id) WHERE is_unsettled")


def downgrade() -> None:
    op.execute("DROP TABLE action_calls")
