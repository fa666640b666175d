"""How API keys are used, and which end soon."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from isthmus.services.identity.domain import BURST_FACTOR, BURST_RATE, MOST_NETWORKS, ApiKey, Use
from isthmus.services.identity.store.statements import Statements

_REMIND = timedelta(days=30)
_ODD_AGAIN = timedelta(hours=1)
# Before that nobody can say what is usual.
_SETTLED = timedelta(days=1)
_SMOOTH = 0.1
_NOTE = """
    with told as (
        select * from unnest(cast(:ids as text[]), cast(:calls as bigint[]), cast(:times as timestamptz[]),
            cast(:networks as text[])) as t (api_key_id, calls, last_time, networks)
    ), before as (
        select k.tenant_id, k.api_key_id, k.used_networks, k.usual_rate, k.odd_time, k.create_time,
            t.calls, t.last_time,
            string_to_array(nullif(t.networks, ''), ' ') as networks
        from api_keys k join told t using (api_key_id) order by k.api_key_id for update of k
    ), judged as (
        select *, calls / cast(:seconds as float8) as rate,
            array(select n from unnest(networks) n where n <> all(used_networks)) as fresh
        from before
    )
    update api_keys k set
        last_used_time = greatest(k.last_used_time, j.last_time),
        use_count = k.use_count + j.calls,
        used_networks = (array_cat(j.fresh, k.used_networks))[1:cast(:most as int)],
        usual_rate = case when k.usual_rate = 0 then j.rate
            else k.usual_rate + :smooth * (j.rate - k.usual_rate) end,
        odd_time = case when j.rate > greatest(:factor * j.usual_rate, :least)
            and j.usual_rate > 0 and j.create_time < :settled
            and (j.odd_time is null or j.odd_time < :long_ago)
            then cast(:now as timestamptz) else k.odd_time end
    from judged j where k.tenant_id = j.tenant_id and k.api_key_id = j.api_key_id
    returning k.*, case when cardinality(j.used_networks) > 0 then j.fresh else '{}' end as new_networks,
        k.odd_time = cast(:now as timestamptz) as is_burst"""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something unusual about how a key was used: a `new_network` or a `burst`."""

    key: ApiKey
    kind: str
    network: str = ""


class Keys(Statements):
    """The API keys that one transaction sees."""

    async def note_uses(self, uses: Mapping[str, Use], seconds: float, now: datetime) -> list[Oddity]:
        """Write down uses of several keys at once and return what is unusual about them.

        Args:
            uses: By the keys' ids.
            seconds: How long they were gathered.
            now: The present moment.
        """
        values: dict[str, Any] = {
            "ids": list(uses),
            "calls": [use.calls for use in uses.values()],
            "times": [use.last_time for use in uses.values()],
            "networks": [" ".join(sorted(use.networks)) for use in uses.values()],
        }
        limits = {"factor": BURST_FACTOR, "least": BURST_RATE, "most": MOST_NETWORKS, "smooth": _SMOOTH}
        rows = await self._all(
            _NOTE,
            seconds=seconds,
            now=now,
            long_ago=now - _ODD_AGAIN,
            settled=now - _SETTLED,
            **values,
            **limits,
        )
        found = [Oddity(key_of(row), "new_network", one) for row in rows for one in row["new_networks"]]
        return found + [Oddity(key_of(row), "burst") for row in rows if row["is_burst"]]

    async def expiring(self, now: datetime) -> list[ApiKey]:
        """Return keys that end within 30 days and were not returned before."""
        sql = """update api_keys set remind_time = :now where (tenant_id, api_key_id) in (
                select tenant_id, api_key_id from api_keys
                where remind_time is null and revoke_time is null and expire_time between :now and :soon
                and create_time < :now - interval '1 day'
                order by expire_time limit 1000 for update skip locked)
            returning *"""
        return [key_of(row) for row in await self._all(sql, now=now, soon=now + _REMIND)]


def key_of(row: Mapping[str, Any]) -> ApiKey:
    """Read a key out of a row that has the columns of one."""
    values = {name: row[name] for name in ApiKey.__dataclass_fields__}
    listed = {name: tuple(row[name]) for name in ("permissions", "allowed_networks", "used_networks")}
    return ApiKey(**{**values, **listed, "digest": bytes(row["digest"])})


__all__ = ["Keys", "Oddity", "key_of"]
