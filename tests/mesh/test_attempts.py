"""Thousands of attempts by chance on what belongs to another tenant, over every RPC: none succeeds.

`make attempts COUNT=… SEED=…` makes more of them, or others.
"""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from sys import stdout

import pytest
from isthmus.testing.attempts import Burglar, Loot, shares
from isthmus.testing.contract import GOOD_TEXTS
from isthmus.testing.tables import rows_of

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(3600)]

COUNT = int(os.environ.get("ISTHMUS_ATTEMPTS", "10000"))
SEED = os.environ.get("ISTHMUS_SEED", "0")
AT_ONCE = 32
FOR_THE_INSTALLATION = {
    "credentials.authorizations.finish",
    "identity.installation.bootstrap",
    "identity.logins.arrive",
    "identity.signing_keys.rotate",
    "identity.tenants.create",
    "monitoring.installation.audit",
    "registry.connectors.register",
}
"""What processes do for all tenants, the gateway for whoever a browser's state names; tenants register
connectors themselves, too."""
QUIET_SECONDS = 30.0
"""What somebody has used is brought together by services up to half a minute after it was."""


@dataclass
class Campaign:
    """What is tried on an owner's things, by RPC and by how it ended."""

    ways: list
    loot: Loot
    seed: str
    codes: Counter = field(default_factory=Counter)
    tried: Counter = field(default_factory=Counter)
    found: dict = field(default_factory=dict)

    async def run(self, rpcs, count, identity_of, *, remembers):
        """
        Makes attempts. A thief who remembers gets back what it has once sent: then only what it was never
        told counts, otherwise whatever it has not sent in the same request.
        """
        burglar = Burglar(self.loot, GOOD_TEXTS, f"{self.seed}:{remembers}")
        left = shares(rpcs, count, self.seed)

        async def work():
            for rpc, number in left:
                requests, chance = burglar.attempt(rpc, number)
                callers = chance.choice(self.ways) if rpc.package == "connector" else self.ways[0]
                done = await callers.call(rpc, requests, identity_of(chance))
                known = self.loot.named.values() if remembers else map(str, requests)
                if found := self.loot.told([done.text]) - self.loot.told(known):
                    self.found[f"{rpc.path} {number}"] = f"{found} in {done.text}"
                self.tried[rpc.path] += 1
                self.codes[done.code.name] += 1

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def settled(world, owner):
    """Gives all rows of the owner once nothing that it did itself changes them any more."""
    before = None
    while (now := await asyncio.to_thread(rows_of, world.mesh.home, owner.tenant_id)) != before:
        before = now
        await asyncio.sleep(QUIET_SECONDS)
    return now


async def test_no_attempt_shows_or_changes_what_is_anothers(world, unharmed_owner, host_callers):
    """
    By an administrator of another tenant, and by a process of the mesh that acts for that tenant. What the
    owner has is looked at in the tables. The same attempts by the owner are seen to succeed.
    """
    owner, thief = unharmed_owner, await world.tenant()
    # Hosts that run by themselves are everybody's.
    shared = {found for found in owner.ids if found.startswith("hst_")}
    loot = Loot(owner.values, frozenset(owner.ids - {*owner.values.values()} - shared | {owner.mark}))
    [process] = world.with_permissions([{rpc.permission for rpc in world.rpcs} - FOR_THE_INSTALLATION])
    reads = [rpc for rpc in world.rpcs if rpc.only_reads]
    campaign, own = (Campaign([world.callers, host_callers], loot, SEED) for _ in range(2))
    before = await settled(world, owner)

    def as_thief(chance):
        kind = chance.random()
        if kind < 0.4:
            return [*thief.identity, ("isthmus-tenant", owner.tenant_id)][: 2 if kind < 0.03 else 1]
        return process.identity(thief.tenant_id)

    await campaign.run(reads, COUNT // 3, as_thief, remembers=False)
    await campaign.run(world.rpcs, COUNT - COUNT // 3, as_thief, remembers=True)
    after = await settled(world, owner)
    await own.run(reads, 3 * len(reads), lambda _: owner.identity, remembers=False)

    stdout.write(
        f"{COUNT} attempts with seed {SEED} over {len(campaign.tried)} RPCs: {dict(campaign.codes)}\n"
    )
    assert campaign.found == {}
    assert not {"INTERNAL", "UNKNOWN", "DATA_LOSS"} & campaign.codes.keys()
    assert [table for table in before if before[table] != after[table]] == []
    assert campaign.tried.keys() == {rpc.path for rpc in world.rpcs}
    assert min(campaign.tried.values()) >= COUNT // 2 // len(world.rpcs)
    assert len({call.split()[0] for call in own.found}) > 10, "it would not see a success"
