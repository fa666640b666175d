"""Two tenants cannot see one another's anything; tried over every RPC that the descriptors know.

An RPC that is added later is tried, too. It fails here until `GOOD_TEXTS` make a request that its service
accepts, and until the owner has whatever its ids name.
"""

import asyncio
import json
import re
import secrets
from difflib import ndiff

import pytest
from grpc import StatusCode
from isthmus.testing.contract import GOOD_TEXTS, Filler, id_fields
from isthmus.testing.tables import open_as_superuser
from psycopg import sql

pytestmark = pytest.mark.mesh

NAMELESS = {
    "client_id",
    "correlation_id",
    "generation_id",
    "key_id",
    "refused_token_id",
    "record_id",
    "sample_id",
}
"""Fields that look like ids and name nothing that anybody owns."""
TELLS_OF_THE_CALLER = {
    "ExportAuditRecords",
    "VerifyAuditTrail",
    "SealAuditTrail",
    "ExportPersonData",
    "ErasePersonData",
    "RedactTexts",
    "DeriveKey",
    "GetUsage",
    "ReportUsage",
}
"""What they answer depends on what the caller itself has done a moment ago."""
FOR_THE_INSTALLATION = {"identity.tenants.create", "monitoring.installation.audit"}
"""What concerns all tenants, and shows them to whoever may."""
UNREACHED = {StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.PERMISSION_DENIED}
ULID = re.compile(r"\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{26}\b")
MASKS = {
    re.compile(r"\n *(use_count: \d+|used_networks: \"[^\"]*\"|last_used_time \{[^}]*\})"): "",
    re.compile(r"\bist_\w+"): "<key>",
    re.compile(r"\b_INBOX_sbr_\w+"): "<inbox>",
    ULID: "<id>",
    re.compile(r"\bfresh[0-9a-f]{12}"): "<fresh>",
    re.compile(r"\b[0-9a-f]{64}\b"): "<hash>",
    re.compile(r"\b[a-z2-9]{5}(-[a-z2-9]{5}){3}\b"): "<password>",
    # A time on a whole second has no nanos.
    re.compile(r"\bseconds: \d+(?:\s+nanos: \d+)?|\bnanos: \d+"): "<time>",
    re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"): "<time>",
}


def filler(values):
    """Makes requests that name what belongs to somebody and whatever else they need, with new names."""
    fresh = f"fresh{secrets.token_hex(6)}"
    return Filler(
        {
            **GOOD_TEXTS,
            "name": fresh,
            "user_name": fresh,
            "group_name": fresh,
            "record_id": fresh,
            "sample_id": fresh,
            "destination.stream": fresh,
            **values,
        }
    )


def nobodys(owner):
    """Gives ids that look like the owner's and name nothing."""
    word = f"canary{secrets.token_hex(4)}"
    replaced = {value: ULID.sub(_unknown, value) for value in owner.values.values()}
    return {name: replaced[value].replace(owner.word, word) for name, value in owner.values.items()}


def _unknown(match):
    return f"{match[1]}_{''.join(secrets.choice('0123456789abcdefghjkmnpqrstvwxyz') for _ in range(26))}"


def masked(text, values):
    """Removes what the caller itself has sent, and what differs from call to call."""
    for value in sorted(set(values.values()), key=len, reverse=True):
        text = text.replace(value, "<named>")
    for pattern, mask in MASKS.items():
        text = pattern.sub(mask, text)
    return text


async def in_parallel(calls, at_once=16):
    """Awaits calls, a few at a time, and gives the results in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(call):
        async with gate:
            return await call

    return await asyncio.gather(*map(one, calls))


async def test_a_key_cannot_choose_its_tenant(world):
    """
    Only processes of the mesh may say for whom they act.
    """
    owner = await world.tenant()
    identity = [*(await world.tenant()).identity, ("isthmus-tenant", owner.tenant_id)]
    rpcs = [rpc for rpc in world.rpcs if rpc.permission != "public"]

    done = await in_parallel(world.callers.call(rpc, filler({}).requests(rpc), identity) for rpc in rpcs)

    wrong = {
        rpc.path: one.text for rpc, one in zip(rpcs, done, strict=True) if one.reason != "TENANT_NOT_YOURS"
    }
    assert not wrong


async def test_each_change_names_what_it_was_about(world, unharmed_owner):
    """
    Whoever reads the trail of what was made, in the order of its making, learns what was made.
    """
    trail = await asyncio.to_thread(told_of_changes, world.mesh.home, unharmed_owner.tenant_id)

    assert len(trail) > 20
    assert [method for method, targets in trail if not targets] == []


def told_of_changes(home, tenant_id):
    """Gives each change that succeeded with its targets, as its service has kept it for the trail."""
    wanted = sql.SQL("select body from {}.outbox where tenant_id = {} and subject = 'isthmus.audit'")
    told = []
    with open_as_superuser(home) as connection:
        schemas = connection.execute("select schemaname from pg_tables where tablename = 'outbox'").fetchall()
        for (schema,) in schemas:
            query = wanted.format(sql.Identifier(schema), sql.Literal(tenant_id))
            told += [json.loads(body) for (body,) in connection.execute(query)]
    done = [body for body in told if (body["kind"], body["outcome"]) == ("change", "OK")]
    return [(body["method"], body["targets"]) for body in done]


NOT_OF_A_TENANT = {
    "identity.device_logins_by_code": "codes are made up, and come from who has no tenant yet",
    "identity.device_logins_by_digest": "as above",
    "identity.providers_by_audience": "whoever shows a token of this audience has said no tenant",
    "identity.tenants_name_key": "names of tenants are the installation's",
    "records.records_pkey": "numbers of streams are given out once for all tenants",
}
"""Keys that are unique beyond one tenant, and why nothing is learnt or lost by that."""
UNIQUE = """
    select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indrelid
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
    where i.indisunique and exists (select from pg_roles where rolname = 'isthmus_' || n.nspname)
    and c.relname <> 'alembic_version' and a.attname is distinct from 'tenant_id'
"""


def test_what_is_unique_is_so_inside_a_tenant(mesh):
    """
    Else one tenant learns by a refusal what another one has; what is made otherwise has its reason.
    """
    with open_as_superuser(mesh.home) as connection:
        found = {name for (name,) in connection.execute(UNIQUE)}

    assert found == NOT_OF_A_TENANT.keys()


class Attempt:
    """One tenant calls everything with the owner's ids, another one with ids that name nothing.

    Who may not see the owner's things gets the answer that somebody gets for whom there is nothing to see.
    """

    def __init__(self, callers, owner, thief, bystander):
        self.callers = callers
        self.owner = owner
        self.sides = [(thief, owner.values), (bystander, nobodys(owner))]
        self.wrong = {}

    async def run(self, rpc, identity_of):
        """Lets both call one RPC and notes what the one has learnt."""
        seen = []
        for tenant, values in self.sides:
            done = await self.callers.call(rpc, filler(values).requests(rpc), identity_of(tenant))
            text = masked(done.text, {**values, "tenant_name": tenant.word})
            shown = {match[0] for match in ULID.finditer(done.text)} - set(values.values())
            if self.owner.word in text or shown & self.owner.ids:
                self.wrong[rpc.path] = f"shows {done.text}"
            seen.append(text)
        if seen[0] != seen[1] and rpc.name not in TELLS_OF_THE_CALLER:
            self.wrong.setdefault(rpc.path, " BUT FOR NOBODY'S ".join(seen))


def in_order(rpcs):
    """Puts what only reads first and what deletes last."""
    return sorted(rpcs, key=lambda rpc: (not rpc.only_reads, rpc.name.startswith("De")))


async def test_another_tenant_finds_what_it_would_find_if_there_were_nothing(world, owner, host_callers):
    """
    Over every RPC, as administrator and as a process of the mesh, and over a connector host; afterwards
    the owner has everything unchanged, and can do all that the other one could not.
    """
    named = {name for rpc in world.rpcs for name in id_fields(rpc)} - NAMELESS
    assert named <= owner.values.keys(), "the owner should have one of these, too"
    thief, bystander = await world.tenant(), await world.tenant()
    everything = {rpc.permission for rpc in world.rpcs} - FOR_THE_INSTALLATION
    [process] = world.with_permissions([everything])
    before = await world.shown_to(owner)
    attempts = [Attempt(callers, owner, thief, bystander) for callers in (world.callers, host_callers)]

    for rpc in in_order(world.rpcs):
        await attempts[0].run(rpc, lambda tenant: tenant.identity)
        await attempts[0].run(rpc, lambda tenant: process.identity(tenant.tenant_id))
        if rpc.only_reads:
            await attempts[0].run(rpc, lambda tenant: process.identity())
        if rpc.package == "connector":
            await attempts[1].run(rpc, lambda tenant: process.identity(tenant.tenant_id))

    assert [attempt.wrong for attempt in attempts] == [{}, {}]
    assert differences(before, await world.shown_to(owner)) == []
    assert await unreached(world, owner, process) == {}


def differences(before, after):
    """Gives the lines that were not the same before, or are not any more."""
    pairs = zip(before, after, strict=True)
    lines = (line for one, other in pairs for line in ndiff(one.split("\n"), other.split("\n")))
    return [line for line in lines if line[0] in "+-"]


async def unreached(world, owner, process):
    """Calls everything as the owner; gives the RPCs whose requests were not good enough to count."""
    found = {}
    for rpc in in_order(world.rpcs):
        requests = filler(owner.values).requests(rpc)
        done = await world.callers.call(rpc, requests, owner.identity)
        if done.code == StatusCode.PERMISSION_DENIED:
            done = await world.callers.call(rpc, requests, process.identity(owner.tenant_id))
        if done.code in UNREACHED and rpc.permission not in FOR_THE_INSTALLATION:
            found[rpc.path] = done.text
    return found
