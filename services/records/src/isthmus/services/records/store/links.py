"""Keeps links; a thousand records cost as many statements as one."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from isthmus.kit import Database, Page, PageRequest, encode_token
from isthmus.resilience.faults import Missing, Precondition
from isthmus.services.records.domain.links import (
    Claim,
    Decision,
    Intent,
    Link,
    Settlement,
    State,
    adopt,
    decide,
    settle,
)
from isthmus.services.records.store.places import key_behind, pack_key
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_SHOWN = """key, state, external_id, content_hash, correlation_id, destination, is_in_doubt, operation,
    intent_hash, fencing_token, claim, open_since, held_until, create_time, update_time"""

# The row also lets only one call a flow decide at a time, so that two cannot both find nothing.
_FENCE = text("""
    INSERT INTO link_flows AS f (tenant_id, flow_id, fencing_token) VALUES (:tenant, :flow, :token)
    ON CONFLICT (tenant_id, flow_id) DO UPDATE
    SET fencing_token = greatest(f.fencing_token, excluded.fencing_token)
    RETURNING fencing_token, clock_timestamp() AS now
""")

_KNOWN = text(f"""
    SELECT {_SHOWN} FROM links
    WHERE tenant_id = :tenant AND flow_id = :flow AND key = ANY (CAST(:keys AS text[]))
    ORDER BY key FOR UPDATE
""")

_HELD = text(f"""
    SELECT {_SHOWN} FROM links
    WHERE tenant_id = :tenant AND flow_id = :flow AND key = ANY (CAST(:keys AS text[]))
        AND claim = :claim AND state = {int(State.OPEN)}
    ORDER BY key FOR UPDATE
""")

_STORE = text("""
    INSERT INTO links (tenant_id, flow_id, key, state, external_id, content_hash, correlation_id, destination,
        is_in_doubt, operation, intent_hash, fencing_token, claim, open_since, held_until)
    SELECT :tenant, :flow, given.*
    FROM unnest(CAST(:keys AS text[]), CAST(:states AS smallint[]), CAST(:external_ids AS text[]),
        CAST(:content_hashes AS bytea[]), CAST(:correlation_ids AS text[]),
        CAST(:destinations AS text[]), CAST(:doubts AS boolean[]),
        CAST(:operations AS smallint[]), CAST(:intent_hashes AS bytea[]), CAST(:tokens AS bigint[]),
        CAST(:claims AS text[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[])) AS given
    ON CONFLICT (tenant_id, flow_id, key) DO UPDATE
    SET state = excluded.state, external_id = excluded.external_id, content_hash = excluded.content_hash,
        correlation_id = excluded.correlation_id, destination = excluded.destination,
        is_in_doubt = excluded.is_in_doubt,
        operation = excluded.operation, intent_hash = excluded.intent_hash,
        fencing_token = excluded.fencing_token, claim = excluded.claim, open_since = excluded.open_since,
        held_until = excluded.held_until, update_time = now()
""")

_REMOVE = text("""
    DELETE FROM links
    WHERE tenant_id = :tenant AND flow_id = :flow AND key = ANY (CAST(:keys AS text[]))
""")

_RENEW = text(f"""
    UPDATE links SET held_until = clock_timestamp() + :hold
    WHERE tenant_id = :tenant AND flow_id = :flow AND claim = :claim AND state = {int(State.OPEN)}
""")

_FORGET = f"""
    DELETE FROM links
    WHERE tenant_id = :tenant AND flow_id = :flow {{chosen}}
        AND (state <> {int(State.OPEN)} OR held_until IS NULL OR held_until <= clock_timestamp())
"""

_LIST = f"""
    SELECT {_SHOWN} FROM links
    WHERE tenant_id = :tenant AND flow_id = :flow AND key > :after {{conditions}}
    ORDER BY key LIMIT :limit
"""


class LinkStore:
    """Keeps what destinations without transactions have of each flow's records.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self,
        tenant_id: str,
        flow_id: str,
        intents: Sequence[Intent],
        *,
        claim: str,
        fencing_token: int,
        hold: timedelta,
        is_requeue: bool = False,
        destination: str = "",
    ) -> list[Decision]:
        """Open the links of records that are about to be written.

        Raises:
            Precondition: `FENCED`, a newer attempt writes the flow.
            RetryLater: `INTENTS_HELD`, somebody else is writing one of the records.
        """
        place = {"tenant": tenant_id, "flow": flow_id}
        async with self._database.tenant(tenant_id) as connection:
            fence = (await connection.execute(_FENCE, {**place, "token": fencing_token})).one()
            if fence.fencing_token > fencing_token:
                raise _fenced(fence.fencing_token, fencing_token)
            keys = [intent.key for intent in intents]
            known = {row.key: _link(row) for row in await connection.execute(_KNOWN, {**place, "keys": keys})}
            who = Claim(claim, fencing_token, fence.now, hold, is_requeue, destination)
            decisions = [decide(known.get(intent.key), intent, who) for intent in intents]
            await _store(connection, place, [one.link for one in decisions if one.link is not None])
        return decisions

    async def renew(self, tenant_id: str, flow_id: str, claim: str, hold: timedelta) -> int:
        """Hold a claim's open links for a while longer, and tell how many these are."""
        values = {"tenant": tenant_id, "flow": flow_id, "claim": claim, "hold": hold}
        async with self._database.tenant(tenant_id) as connection:
            return int((await connection.execute(_RENEW, values)).rowcount)

    async def settle(
        self, tenant_id: str, flow_id: str, claim: str, settlements: Sequence[Settlement]
    ) -> int:
        """Store what came of announced writes, and tell how many were the claim's own."""
        place = {"tenant": tenant_id, "flow": flow_id}
        values = {**place, "claim": claim, "keys": [one.key for one in settlements]}
        async with self._database.tenant(tenant_id) as connection:
            held = {row.key: _link(row) for row in await connection.execute(_HELD, values)}
            after = {one.key: settle(held[one.key], one) for one in settlements if one.key in held}
            await _store(connection, place, [link for link in after.values() if link is not None])
            gone = [key for key, link in after.items() if link is None]
            if gone:
                await connection.execute(_REMOVE, {**place, "keys": gone})
        return len(after)

    async def list(
        self, tenant_id: str, flow_id: str, states: Sequence[int], page: PageRequest, *, in_doubt: bool
    ) -> Page[Link]:
        """List the links of a flow, by key."""
        conditions = "AND state = ANY (CAST(:states AS smallint[])) " if states else ""
        conditions += "AND is_in_doubt" if in_doubt else ""
        values = {
            "tenant": tenant_id,
            "flow": flow_id,
            "after": key_behind(page),
            "states": list(states),
            "limit": page.size + 1,
        }
        async with self._database.tenant(tenant_id) as connection:
            rows = await connection.execute(text(_LIST.format(conditions=conditions)), values)
            found = [_link(row) for row in rows]
        shown = found[: page.size]
        token = encode_token({"key": pack_key(shown[-1].key)}) if len(found) > len(shown) else ""
        return Page(shown, token)

    async def get(self, tenant_id: str, flow_id: str, key: str) -> Link:
        """Read one link.

        Raises:
            Missing: `LINK_UNKNOWN`.
        """
        async with self._database.tenant(tenant_id) as connection:
            values = {"tenant": tenant_id, "flow": flow_id, "keys": [key]}
            row = (await connection.execute(_KNOWN, values)).one_or_none()
        if row is None:
            message = f"Flow {flow_id!r} has no link for {key!r}; list its links."
            raise Missing("LINK_UNKNOWN", message, path="key")
        return _link(row)

    async def adopt(self, tenant_id: str, flow_id: str, key: str, external_id: str) -> Link:
        """Tie a record to what a person has found at the destination.

        Raises:
            RetryLater: `INTENTS_HELD`, somebody is writing it.
        """
        place = {"tenant": tenant_id, "flow": flow_id}
        async with self._database.tenant(tenant_id) as connection:
            fence = (await connection.execute(_FENCE, {**place, "token": 0})).one()
            row = (await connection.execute(_KNOWN, {**place, "keys": [key]})).one_or_none()
            link = adopt(_link(row) if row is not None else None, key, external_id, fence.now)
            await _store(connection, place, [link])
        return await self.get(tenant_id, flow_id, key)

    async def forget(self, tenant_id: str, flow_id: str, keys: Sequence[str] | None) -> int:
        """Remove links that nobody holds; None means all of the flow."""
        chosen = "" if keys is None else "AND key = ANY (CAST(:keys AS text[]))"
        values = {"tenant": tenant_id, "flow": flow_id, "keys": list(keys or ())}
        async with self._database.tenant(tenant_id) as connection:
            return int((await connection.execute(text(_FORGET.format(chosen=chosen)), values)).rowcount)


async def _store(connection: AsyncConnection, place: dict[str, Any], links: Sequence[Link]) -> None:
    if not links:
        return
    ordered = sorted(links, key=lambda link: link.key.encode())
    columns: dict[str, list[Any]] = {
        "keys": [link.key for link in ordered],
        "states": [int(link.state) for link in ordered],
        "external_ids": [link.external_id for link in ordered],
        "content_hashes": [link.content_hash for link in ordered],
        "correlation_ids": [link.correlation_id for link in ordered],
        "destinations": [link.destination for link in ordered],
        "doubts": [link.is_in_doubt for link in ordered],
        "operations": [link.operation for link in ordered],
        "intent_hashes": [link.intent_hash for link in ordered],
        "tokens": [link.fencing_token for link in ordered],
        "claims": [link.claim for link in ordered],
        "since": [link.open_since for link in ordered],
        "until": [link.held_until for link in ordered],
    }
    await connection.execute(_STORE, {**place, **columns})


def _link(row: Row[Any]) -> Link:
    known: dict[str, Any] = dict(row._mapping)
    known["state"] = State(known["state"])
    for name in ("content_hash", "intent_hash"):
        known[name] = bytes(known[name])
    return Link(**known)


def _fenced(newest: int, token: int) -> Precondition:
    message = f"Attempt {newest} writes this flow now; attempt {token} must stop and not retry."
    return Precondition("FENCED", message, metadata={"fencing_token": str(newest)})


__all__ = ["LinkStore"]
