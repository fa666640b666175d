"""A connector host that was taken over: what its key, its certificate and its addresses open."""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from isthmus.kit.certificates import Certificates, serving
from isthmus.kit.tickets import Ticket, Tickets, needs_ticket
from isthmus.kit.tokens import signed
from isthmus.local.backends.vault_pki import DOMAIN
from isthmus.local.issued import authority_file, certificate_file
from isthmus.testing.canaries import canary
from isthmus.testing.contract import GOOD_TEXTS, Callers, Filler, id_fields
from isthmus.testing.waiting import eventually

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(300)]

HOST, OTHER = "host:http-json", "host:files"
PATIENCE = 120
# What puts a host where others find it; trying it would send the tests' own calls to where nobody is.
REGISTERING = {"registry.hosts.register", "registry.connectors.register"}
SPEAKING = ("registry.RegisterHost", "registry.RegisterConnector")
# The hub knows one instance, and a host is told of no permission that it lacks.
CLOSED = ("TICKET_OF_OTHERS", "PERMISSION_MISSING", "INSTANCE_UNKNOWN")
TOLD = {
    "AppendLogs",
    "BeginReconciliation",
    "ObserveSchema",
    "PutIntents",
    "QuarantineLargeRecord",
    "QuarantineRecords",
    "RecordUsage",
    "RenewIntents",
    "SettleIntents",
    "ShareBudget",
}
DOCUMENTS = """
kind: Credential
name: {word}
spec: {{type: bearer, secret: {{env: STOLEN_TOKEN}}}}
---
kind: Instance
name: {word}
spec:
  connector: http-json
  credential: {word}
  configuration:
    base_url: "{url}"
    streams: [{{name: items, path: /{word}, records_path: items, key: [id]}}]
---
kind: Flow
name: {word}
spec:
  source: {{instance: {word}, stream: items}}
  destination: {{instance: hub, stream: {word}}}
  key: [id]
"""


@dataclass(frozen=True)
class Possession:
    """An instance with its credential and its flow, all called by one word.

    Attributes:
        token: The secret that the vendor takes.
    """

    word: str
    token: str
    tenant: Any
    values: dict[str, str]

    @property
    def instance_id(self):
        return self.values["instance_id"]


class Thief:
    """Whoever has the files of the http-json host.

    Args:
        world: The mesh.
        host: The address of the host itself.
    """

    def __init__(self, world, host):
        home = world.mesh.home
        own = certificate_file(home / "tls", HOST)
        certificates = Certificates(own, own, authority_file(home / "tls"), domain=DOMAIN)
        addresses = json.loads((home / "mesh.json").read_text())["mesh"]
        named = lambda rpc: "records" if rpc.package == "connector" else rpc.package  # noqa: E731
        self._key = home / "keys/host-http-json.jwk"
        self._services = Callers(
            lambda rpc: addresses[named(rpc)], certificates, lambda rpc: f"service:{named(rpc)}"
        )
        self._hosts = Callers(lambda _: host, certificates, lambda _: serving("http-json"))
        self._known = {f"{one.package}.{one.name}": one for one in world.rpcs}
        self.rpcs = [one for one in world.rpcs if one.permission not in {"public"} | REGISTERING]

    def identity(self, tenant, ticket=""):
        """Gives what calls on behalf of a tenant carry."""
        token = signed(self._key, {"sub": HOST}, now=int(time.time()), lifetime=300)
        shown = [("isthmus-ticket", ticket)] if ticket else []
        return [("authorization", f"Bearer {token}"), ("isthmus-tenant", tenant.tenant_id), *shown]

    async def call(self, name, identity, **values):
        """Calls one RPC of a service, `registry.GetInstance` for example."""
        rpc = self._known[name]
        requests = Filler(values).requests(rpc)

        async def told():
            return await self._services.call(rpc, requests, identity, seconds=PATIENCE)

        # A stream that has said nothing for a second is left, on a busy machine also one that says something.
        return await eventually(told, "an answer", such=lambda done: done.reason or done.answers)

    async def everything(self, identity, values):
        """Calls every RPC of every service, those of connectors at the hub and at a host, too."""
        filler, gate = Filler(GOOD_TEXTS | values), asyncio.Semaphore(32)

        async def one(callers, rpc):
            async with gate:
                return rpc, await callers.call(rpc, filler.requests(rpc), identity, seconds=PATIENCE)

        at_hosts = [rpc for rpc in self.rpcs if rpc.package == "connector"]
        calls = [one(self._services, rpc) for rpc in self.rpcs] + [one(self._hosts, rpc) for rpc in at_hosts]
        return await asyncio.gather(*calls)

    async def close(self):
        await self._services.close()
        await self._hosts.close()


@pytest.fixture(scope="module")
async def possessions(world, lasting_vendor):
    """Gives two instances of one tenant and one of another, each with its own secret."""
    made = []
    one, other = await world.tenant(), await world.tenant()
    for tenant, word in ((one, "mine"), (one, "near"), (other, "far")):
        word, token = f"{word}{tenant.word}", canary("stolen")  # noqa: PLW2901
        lasting_vendor.serve_json(f"/{word}", {"items": [{"id": word}]})
        text = DOCUMENTS.format(word=word, url=lasting_vendor.url)
        await asyncio.to_thread(world.mesh.apply, text, env=tenant.env | {"STOLEN_TOKEN": token})
        [instance] = (await world.do(tenant.identity, "registry.ListInstances", name=word)).instances
        [flow] = (await world.do(tenant.identity, "scheduling.ListFlows", name=word)).flows
        values = {
            "instance_id": instance.instance_id,
            "auth_config_id": instance.auth_config_id,
            "flow_id": flow.flow_id,
            "connector_id": "http-json",
            "binding.instance_id": instance.instance_id,
            "source.instance_id": instance.instance_id,
        }
        made.append(Possession(word, token, tenant, values))
    return made


@pytest.fixture(scope="module")
async def thief(world, possessions):
    found = await world.do(world.administrator, "registry.ResolveHost", connectorId="http-json")
    thief = Thief(world, found.host.address)
    yield thief
    await thief.close()


@pytest.fixture(scope="module")
async def job(world, thief, possessions):
    """Gives the lease of an execution that the thief takes over while the host itself stands still."""
    mine = possessions[0]
    pid = world.mesh.pid("host-http-json")
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = await asyncio.to_thread(world.mesh.answer, "sync", "run", mine.word, env=mine.tenant.env)
        execution = begun["execution_id"]
        given = await thief.call(
            "scheduling.AcquireLease", thief.identity(mine.tenant), execution_id=execution, host_id="thief"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert given.code.name == "OK", given.text
    [lease] = given.answers
    return lease


def names_work(rpc):
    """Tells whether a request says what it is about: a flow, or an instance."""
    return bool(id_fields(rpc) & {"flow_id", "instance_id"})


def shown(done):
    """Gives everything that a number of calls has brought to light."""
    return "\n".join(outcome.text for _, outcome in done)


def refused(done):
    """Gives why calls that need a ticket were refused, and insists that none of them was answered.

    A stream that has said nothing for a while is left, on a busy machine also one that would be refused.
    """
    asked = [(rpc.path, one) for rpc, one in done if needs_ticket(rpc.permission)]
    assert [path for path, one in asked if one.answers] == []
    return {one.reason for _, one in asked} - {""}


async def test_without_work_it_acts_for_nobody(thief, possessions):
    """
    Whatever it may call at all it may not call on behalf of a tenant, but for what only takes.
    """
    for possession in possessions:
        done = await thief.everything(thief.identity(possession.tenant), possession.values)

        assert refused(done) == {"PERMISSION_MISSING", "TICKET_MISSING"}
        assert possession.word not in shown(done)


async def test_with_a_job_it_has_what_the_job_needs(thief, job, possessions):
    """
    The configuration and the secret of the one instance, and the destination of the one flow.
    """
    mine, near, far = possessions
    ticket = job.source_ticket
    own = thief.identity(mine.tenant, ticket)
    lent = await thief.call("credentials.LeaseCredential", own, **mine.values)
    seen = await thief.call("registry.GetInstance", own, **mine.values)
    done = await thief.everything(own, mine.values)
    in_place = await thief.everything(thief.identity(far.tenant, ticket), far.values)

    assert mine.token in lent.text
    assert mine.word in seen.text
    assert not [one.word for one in (near, far) if one.word in shown(done + in_place)]
    assert not [one.token for one in (near, far) if one.token in shown(done + in_place)]
    assert refused(in_place) == {"PERMISSION_MISSING", "TICKET_OF_OTHERS"}


@pytest.mark.parametrize("end", ["source", "destination"])
async def test_of_other_flows_and_instances_it_neither_learns_nor_tells_anything(
    thief, job, possessions, end
):
    """
    Whatever names a flow or an instance is refused, what it reads as well as what it tells.
    """
    mine, near, _ = possessions
    own = thief.identity(mine.tenant, getattr(job, f"{end}_ticket"))
    done = await thief.everything(own, near.values)
    asked = [(rpc, one) for rpc, one in done if names_work(rpc) and needs_ticket(rpc.permission)]
    # A stream that has said nothing for a second is left, on a busy machine also one that would be refused.
    about = {rpc.path: one for rpc, one in asked if one.reason or one.answers}
    wrong = {path: one.text for path, one in about.items() if one.reason not in CLOSED}

    assert wrong == {}
    assert {path.rpartition("/")[2] for path, one in about.items() if one.reason == CLOSED[0]} >= TOLD
    assert near.word not in shown(done)
    assert near.token not in shown(done)


async def test_a_mapping_of_another_flow_is_closed(thief, job, possessions):
    """
    The ticket names what maps its flow's records, and a flow has to be named where records are listed.
    """
    own = thief.identity(possessions[0].tenant, job.source_ticket)
    planned = await thief.call("mapping.GetPlan", own, mapping_id="map_near")
    listed = [
        await thief.call("records.ListQuarantine", own, flow_id=flow)
        for flow in (possessions[0].values["flow_id"], "")
    ]

    assert [one.reason for one in (planned, *listed)] == ["TICKET_OF_OTHERS", "", "TICKET_OF_OTHERS"]


async def test_what_another_flow_has_put_aside_it_does_not_resolve(world, thief, job, possessions):
    """
    Quarantined records are named by their ids alone, and those of another flow stay as they are.
    """
    mine, near, _ = possessions
    [process] = world.with_permissions([{"records.quarantine.add"}])
    kept = {"flowId": near.values["flow_id"], "executionId": "exe_near", "record": "{}"}
    aside = await world.do(
        process.identity(near.tenant.tenant_id), "records.QuarantineRecords", records=[kept]
    )
    resolved = await thief.call(
        "records.ResolveQuarantined",
        thief.identity(mine.tenant, job.source_ticket),
        quarantine_ids=aside.quarantine_ids[0],
        execution_id=job.execution.execution_id,
    )

    assert [one.resolved for one in resolved.answers] == [0], resolved.text


async def test_it_speaks_for_no_other_connector(thief, possessions):
    """
    Neither where its hosts are nor what it can do, and it moves no attempt of theirs.
    """
    identity = thief.identity(possessions[0].tenant)
    values = GOOD_TEXTS | {"connector_id": "files", "host_id": "thief"}
    done = [await thief.call(name, identity, **values) for name in SPEAKING]

    assert [one.reason for one in done] == ["CONNECTOR_OF_OTHERS"] * len(SPEAKING)


async def test_what_it_shows_the_destination_opens_the_destination_only(thief, job, possessions):
    """
    The hub takes its batches; it gives it no records, and nothing is lent for the other end.
    """
    mine = possessions[0]
    onward = thief.identity(mine.tenant, job.destination_ticket)
    hub = {"binding.instance_id": "hub", "instance_id": "hub", "stream": mine.word}
    hub |= {"flow_id": mine.values["flow_id"]}
    others = [{"flow_id": "flw_x"}, {"stream": "another"}, {"stream": ""}]
    astray = [await thief.call("connector.Write", onward, **(GOOD_TEXTS | hub | one)) for one in others]
    written = await thief.call("connector.Write", onward, **(GOOD_TEXTS | hub))
    elsewhere = await thief.call("connector.Write", thief.identity(mine.tenant, job.source_ticket), **hub)
    read = await thief.call("connector.Read", onward, **hub)
    lent = await thief.call("credentials.LeaseCredential", onward, **mine.values)

    assert written.reason not in {"TICKET_OF_OTHERS", "TICKET_MISSING", "TICKET_INVALID"}
    assert [one.reason for one in astray] == ["TICKET_OF_OTHERS"] * len(others)
    assert (elsewhere.reason, read.reason) == ("TICKET_OF_OTHERS", "PERMISSION_MISSING")
    assert lent.reason == "TICKET_OF_OTHERS"


async def test_a_ticket_that_is_not_right_opens_nothing(world, thief, job, possessions):
    """
    Of another tenant, instance or host, ended, changed, or signed by somebody who gives no work.
    """
    mine, near, far = possessions
    keys = world.mesh.home / "keys"
    scheduling = keys / "service-scheduling.jwk"

    def ticket(possession, host=HOST, key=scheduling, **options):
        asked = Ticket(possession.tenant.tenant_id, possession.instance_id, host, host)
        return signed(
            key, asked.claims, **({"now": int(time.time()), "lifetime": 60, "kind": "ticket"} | options)
        )

    head, _, tail = job.source_ticket.split(".")
    changed = ".".join([head, ticket(far).split(".")[1], tail])
    wrong = {
        "TICKET_OF_OTHERS": [ticket(far), ticket(near), ticket(mine, OTHER)],
        "TICKET_INVALID": [
            ticket(mine, now=int(time.time()) - 100),
            ticket(mine, lifetime=3600),
            ticket(mine, kind="JWT"),
            ticket(mine, key=keys / "host-http-json.jwk"),
            ticket(mine, key=keys / "service-gateway.jwk"),
            Tickets(keys / "service-records.jwk").text(Ticket(mine.tenant.tenant_id, "", HOST, HOST)),
            changed,
            "ticket",
        ],
    }
    for reason, texts in wrong.items():
        for text in texts:
            done = await thief.call(
                "credentials.LeaseCredential", thief.identity(mine.tenant, text), **mine.values
            )

            assert done.reason == reason, f"{text}: {done.text}"


async def test_what_it_was_refused_is_in_the_tenants_trail(world, thief, possessions):
    """
    Borrowing as well as merely looking.
    """
    far = possessions[2]
    for name in ("credentials.LeaseCredential", "registry.GetInstance"):
        await thief.call(name, thief.identity(far.tenant), **far.values)

    wanted = {("LeaseCredential", "TICKET_MISSING"), ("GetInstance", "TICKET_MISSING")}

    async def told():
        listed = ("audit", "list", "--limit", "0")
        records = await asyncio.to_thread(world.mesh.answer, *listed, env=far.tenant.env)
        return {(one["method"].rpartition("/")[2], one["reason"]) for one in records}

    await eventually(told, "both refusals are in the trail", such=wanted.issubset, pause=0.3)


async def test_it_knows_no_database_and_no_vault(world, thief):
    """
    Its environment names neither; what the bus refuses its user is tried where the bus is.
    """
    environment = Path(f"/proc/{world.mesh.pid('host-http-json')}/environ").read_bytes()
    names = {one.partition(b"=")[0] for one in environment.split(b"\0")}

    assert not [name for name in names if b"DATABASE" in name or b"VAULT" in name]
