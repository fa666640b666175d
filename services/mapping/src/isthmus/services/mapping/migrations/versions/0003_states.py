"""How far versions have come: draft, validated, active, retired; and the samples that they have to map."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("alter table mappings add active_version integer not null default 0")
    op.execute("""
        alter table mapping_versions
            add state text not null default 'validated',
            add golden_samples text not null default '[]',
            add activate_time timestamptz""")
    # Until now the newest version was the one in use, and so each one was once.
    _in_all_tenants("mappings", "active_version = version")
    _in_all_tenants("mapping_versions", "activate_time = update_time")


def _in_all_tenants(table: str, change: str) -> None:
    """Change every row; whose it is does not bind the owner meanwhile."""
    op.execute(f"alter table {table} no force row level security")
    op.execute(f"update {table} set {change}")
    op.execute(f"alter table {table} force row level security")
