"""Names of the secrets that are kept beside the one of the method."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("alter table auth_configs add column further_secrets text[] not null default '{}'")
