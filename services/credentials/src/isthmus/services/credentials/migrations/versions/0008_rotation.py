"""How often secrets are to be replaced, and how far a rotation is that is under way."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
        alter table auth_configs
            add column alternate_username text not null default '',
            add column rotation_action text not null default '',
            add column rotation_every_days integer not null default 0,
            add column rotation_overlap_seconds bigint not null default 86400,
            add column rotation_next_time timestamptz,
            add column rotation_last_time timestamptz,
            add column rotation_last_by text not null default '',
            add column rotation_stage text not null default '',
            add column rotation_version integer not null default 0,
            add column rotation_wanted_by text not null default '',
            add column rotation_keep_seconds bigint not null default 0,
            add column rotation_try_time timestamptz,
            add column rotation_failures integer not null default 0,
            add column rotation_failure_reason text not null default '',
            add column rotation_failure_message text not null default '',
            add column rotation_fencing_token bigint not null default 0,
            add column rotation_held_until timestamptz,
            add column rotation_reminded_of timestamptz""")
    # Most credentials have no policy, so looking for what is due reads next to nothing.
    op.execute("""create index auth_configs_rotating on auth_configs (rotation_try_time)
        where rotation_stage <> ''""")
    op.execute("""create index auth_configs_rotation_due on auth_configs (rotation_next_time)
        where rotation_next_time is not null""")
