"""A table of notes, and what the chassis keeps."""

import sqlalchemy as sa
from alembic import op
from isthmus.kit.migration import create_idempotency, create_inbox, create_outbox, isolate, share

revision = "0001"
down_revision = None


def upgrade():
    for table in ("note", "word"):
        op.create_table(
            table,
            sa.Column("tenant_id", sa.Text, nullable=False),
            sa.Column("id", sa.Text, nullable=False),
            sa.Column("body", sa.Text, nullable=False),
            sa.PrimaryKeyConstraint("tenant_id", "id"),
        )
    isolate(op, "note")
    share(op, "word")
    create_outbox(op)
    create_inbox(op)
    create_idempotency(op)
