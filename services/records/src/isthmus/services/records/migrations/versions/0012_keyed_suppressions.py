"""Marks of erased persons are keyed a second time, with a key that the database does not have."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Tell tenants whose marks still have one key; the service gives them the second one."""
    op.execute("ALTER TABLE peppers ADD COLUMN is_keyed boolean NOT NULL DEFAULT false")
