"""What signed requests are signed for."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for name in ("key_id", "region", "service"):
        op.execute(f"alter table auth_configs add column {name} text not null default ''")
