"""The secret before the present one, which is kept for a while in a rotation."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("alter table auth_configs add column old_secret_version integer not null default 0")
    op.execute("alter table auth_configs add column overlap_end_time timestamptz")
    op.execute("alter table auth_configs add column old_until timestamptz")
