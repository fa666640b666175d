"""What proves an authorization lies beside it, sealed by a key that the database does not have."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("alter table authorizations add column sealed text not null default ''")
