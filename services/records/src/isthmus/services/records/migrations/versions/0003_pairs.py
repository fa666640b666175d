"""Pairs of two-way flows, their rounds, and conflicts."""

from alembic import op
from isthmus.kit.migration import create_inbox, isolate

revision = "0003"
down_revision = "0002"

_SIDE = """
    {side}_key text COLLATE "C" NOT NULL DEFAULT '',
    {side}_link text COLLATE "C" NOT NULL DEFAULT '',
    {side}_form text,
    {side}_time timestamptz,
    {side}_digest text NOT NULL DEFAULT '',
    {side}_refused text NOT NULL DEFAULT '',
    {side}_seen text NOT NULL DEFAULT '',
    {side}_read_time timestamptz,
    to_{side} bigint NOT NULL DEFAULT 0,
"""
_SIDES = ("source", "destination")


def upgrade() -> None:
    """Create the tables."""
    op.execute(
        f"""
        CREATE TABLE pairs (
            tenant_id text COLLATE "C" NOT NULL,
            pairing text COLLATE "C" NOT NULL,
            pair_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            match text COLLATE "C" NOT NULL DEFAULT '',
            base text,
            {"".join(_SIDE.format(side=side) for side in _SIDES)}
            wanted text,
            wanted_digest text NOT NULL DEFAULT '',
            parts boolean NOT NULL DEFAULT false,
            decided_in text NOT NULL DEFAULT '',
            is_parted boolean NOT NULL DEFAULT false,
            is_dirty boolean NOT NULL DEFAULT true,
            status smallint NOT NULL DEFAULT 2,
            conflict_id text NOT NULL DEFAULT '',
            create_time timestamptz NOT NULL DEFAULT now(),
            update_time timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, pairing, pair_id)
        ) WITH (fillfactor = 80)
        """
    )
    for column in ("match", *(f"{side}_{name}" for side in _SIDES for name in ("key", "link"))):
        op.execute(
            f"CREATE UNIQUE INDEX pairs_by_{column} ON pairs (tenant_id, pairing, {column}) "
            f"WHERE {column} <> ''"
        )
    for side in _SIDES:
        op.execute(
            f"CREATE INDEX pairs_to_{side} ON pairs (tenant_id, pairing, to_{side}) WHERE to_{side} > 0"
        )
    op.execute("CREATE INDEX pairs_dirty ON pairs (tenant_id, pairing, pair_id) WHERE is_dirty")
    op.execute("CREATE INDEX pairs_decided ON pairs (tenant_id, pairing, pair_id) WHERE decided_in <> ''")
    op.execute("CREATE INDEX pairs_by_flow ON pairs (tenant_id, flow_id, pair_id)")
    op.execute(
        """
        CREATE TABLE rounds (
            tenant_id text COLLATE "C" NOT NULL,
            pairing text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            execution_id text NOT NULL DEFAULT '',
            is_decided boolean NOT NULL DEFAULT false,
            fencing_token bigint NOT NULL DEFAULT 0,
            last_change bigint NOT NULL DEFAULT 0,
            PRIMARY KEY (tenant_id, pairing)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        """
        CREATE TABLE conflicts (
            tenant_id text COLLATE "C" NOT NULL,
            conflict_id text COLLATE "C" NOT NULL,
            flow_id text COLLATE "C" NOT NULL,
            pairing text COLLATE "C" NOT NULL,
            pair_id text COLLATE "C" NOT NULL,
            status smallint NOT NULL,
            source_key text NOT NULL,
            destination_key text NOT NULL,
            base text,
            source_form text,
            destination_form text,
            source_time timestamptz,
            destination_time timestamptz,
            fields text[] NOT NULL,
            policy text NOT NULL,
            reason text NOT NULL,
            result text,
            decided_by text NOT NULL,
            execution_id text NOT NULL,
            create_time timestamptz NOT NULL DEFAULT now(),
            decide_time timestamptz,
            PRIMARY KEY (tenant_id, conflict_id)
        )
        """
    )
    op.execute("CREATE INDEX conflicts_by_status ON conflicts (tenant_id, status, conflict_id)")
    op.execute("CREATE INDEX conflicts_by_pair ON conflicts (tenant_id, pairing, pair_id)")
    create_inbox(op)
    for table in ("pairs", "rounds", "conflicts"):
        isolate(op, table)
