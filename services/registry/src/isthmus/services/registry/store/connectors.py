"""Connectors and their versions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from isthmus.kit import PageRequest
from isthmus.services.registry.domain.model import Connector, Spec
from isthmus.services.registry.domain.semver import newest_first
from isthmus.services.registry.domain.specs import stored_spec
from isthmus.services.registry.store.rows import Rows, window
from sqlalchemy.ext.asyncio import AsyncConnection

# A tenant's own connector never hides one of everybody's.
_SEEN = """select distinct on (connector_id) *, array(
        select v.version || ' ' || v.digest from connector_versions v
        where v.tenant_id = c.tenant_id and v.connector_id = c.connector_id) as versions
    from connectors c where tenant_id = any(:owners) and {} order by connector_id, (tenant_id <> '*')"""
_ONE = _SEEN.format("connector_id = :connector_id")
_PAGE = _SEEN.format("connector_id > :after") + " limit :limit"

_MOST_DESCRIBED = 200
Described = dict[tuple[str, str, str, str], Spec]


class ConnectorRows(Rows):
    """The connectors that one transaction is about.

    Args:
        conn: The transaction.
        owners: Whose connectors they are.
        described: Descriptions that were read before, by owner, connector, version and digest.
    """

    def __init__(self, conn: AsyncConnection, owners: Sequence[str], described: Described) -> None:
        super().__init__(conn)
        self._described = described
        self._owners = list(owners)

    async def lock(self, connector_id: str) -> None:
        """Let nobody else register or remove this connector until the transaction ends."""
        sql = "select pg_advisory_xact_lock(hashtextextended(:name, 1))"
        await self._run(sql, name=f"registry:connector:{connector_id}")

    async def find(self, connector_id: str, version: str = "") -> Connector | None:
        """Return a connector with the version's description, the newest one's unless said otherwise."""
        row = await self._first(_ONE, connector_id=connector_id, owners=self._owners)
        return (await self._whole([row], version))[0] if row else None

    async def page(self, page: PageRequest) -> list[Connector]:
        """Return connectors by id, one more than the page holds."""
        return await self._whole(await self._all(_PAGE, owners=self._owners, **window(page)))

    async def spec(self, tenant_id: str, connector_id: str, version: str) -> Spec | None:
        """Return what one version says of itself."""
        sql = """select document from connector_versions
            where tenant_id = :t and connector_id = :c and version = :v"""
        row = await self._first(sql, t=tenant_id, c=connector_id, v=version)
        return stored_spec(row["document"]) if row else None

    async def add(self, tenant_id: str, spec: Spec, known: Sequence[str], now: datetime) -> None:
        """Store a version; `known` are the versions there are already."""
        newest = newest_first([*known, spec.version])[0]
        upsert = """insert into connectors (tenant_id, connector_id, newest_version, create_time, update_time)
            values (:t, :c, :newest, :now, :now)
            on conflict (tenant_id, connector_id)
            do update set newest_version = :newest, update_time = :now"""
        await self._run(upsert, t=tenant_id, c=spec.connector_id, newest=newest, now=now)
        insert = """insert into connector_versions
            (tenant_id, connector_id, version, digest, document, create_time)
            values (:t, :c, :v, :digest, :document, :now)"""
        await self._run(
            insert,
            t=tenant_id,
            c=spec.connector_id,
            v=spec.version,
            digest=spec.digest,
            document=spec.document,
            now=now,
        )

    async def remove(self, connector: Connector) -> None:
        """Delete a connector with all its versions."""
        sql = "delete from connectors where tenant_id = :t and connector_id = :c"
        await self._run(sql, t=connector.tenant_id, c=connector.spec.connector_id)

    async def _whole(self, rows: Sequence[dict[str, Any]], version: str = "") -> list[Connector]:
        whole = []
        for row in rows:
            owner = (row["tenant_id"], row["connector_id"])
            digests = dict(told.split(" ", 1) for told in row["versions"])
            known = newest_first(list(digests))
            chosen = version if version in known else row["newest_version"]
            spec = await self._description(*owner, chosen, digests[chosen])
            whole.append(Connector(owner[0], spec, known, row["create_time"], row["update_time"]))
        return whole

    async def _description(self, tenant_id: str, connector_id: str, version: str, digest: str) -> Spec:
        """Return what a version says of itself; what has the same digest says the same."""
        key = (tenant_id, connector_id, version, digest)
        spec = self._described.get(key)
        if spec is None:
            spec = await self.spec(tenant_id, connector_id, version)
            assert spec is not None
            self._described[key] = spec
            while len(self._described) > _MOST_DESCRIBED:
                del self._described[next(iter(self._described))]
        return spec


__all__ = ["ConnectorRows", "Described"]
