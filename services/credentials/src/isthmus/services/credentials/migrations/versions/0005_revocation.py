"""When configurations were taken out of use, and of which end their owners were reminded."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("alter table auth_configs add column revoke_time timestamptz")
    op.execute("alter table auth_configs add column reminded_of timestamptz")
