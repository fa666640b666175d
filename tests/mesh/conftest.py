"""Two tenants of the shared mesh: one owns something of every kind, the other would like to have it."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf import json_format
from isthmus.identity.v1 import providers_pb2, scim_pb2
from isthmus.kit.certificates import Certificates, serving
from isthmus.kit.tokens import Signer, new_key
from isthmus.testing.canaries import PLANTED, canary
from isthmus.testing.certificates import certificates
from isthmus.testing.contract import Callers, Filler, Outcome, Rpc, all_rpcs, texts_of
from isthmus.testing.http_server import HttpServer
from isthmus.testing.waiting import eventually

VOLATILE = re.compile(
    r"\n *(last_used|last_seen|count)_time \{[^}]*\}|\n *(used|use_count): \d+"
    r"|\n *used_networks: \"[^\"]*\"|cor_\w+"
    r"|^(?P<indent> *)hosts \{\n(?:(?P=indent) +.*\n)*(?P=indent)\}\n|^ *live_hosts: \d+\n|^jwks: .*\n",
    re.MULTILINE,
)
"""What changes though nobody does anything; hosts come and go."""
SUBJECT = "service:test"
"""What the processes are called that tests make; their certificate names it."""
ULID = re.compile(r"\b[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}\b")
DOCUMENTS = """
kind: Credential
name: {word}-credential
spec: {{type: bearer, secret: {{env: VENDOR_TOKEN}}}}
---
kind: Instance
name: {word}-instance
spec:
  connector: http-json
  credential: {word}-credential
  description: {note}
  configuration:
    base_url: "{url}"
    streams: [{{name: items, path: '/{word}?{note}', records_path: items, key: [id]}}]
---
kind: Mapping
name: {word}-mapping
spec:
  description: {note}
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: level, source: level, enum: {{"1": high}}}}
    - {{target: secret, source: secret}}
---
kind: Flow
name: {word}-flow
spec:
  source: {{instance: {word}-instance, stream: items}}
  mapping: {word}-mapping
  destination: {{instance: hub, stream: {word}-stream}}
  key: [id]
  schedules: [{{cron: "0 3 1 1 *", time_zone: Europe/Zurich}}]
---
kind: Mapping
name: {word}-other-mapping
spec:
  field_mappings:
    - {{target: id, source: id, required: true}}
    - {{target: level, constant: {word}}}
---
kind: Flow
name: {word}-other
spec:
  source: {{instance: {word}-instance, stream: items}}
  mapping: {word}-other-mapping
  destination: {{instance: hub, stream: {word}-other}}
  key: [id]
---
kind: Flow
name: {word}-both
spec:
  source: {{instance: hub, stream: {word}-stream}}
  destination: {{instance: hub, stream: {word}-other}}
  key: [id]
  direction: both
  conflict: {{policy: review}}
---
kind: Plan
name: {word}-plan
spec:
  description: {note}
  steps:
    - {{name: {word}-step, flow: {word}-flow, compensate: {word}-other}}
    - {{name: barrier, after: [{word}-step]}}
"""


@dataclass
class Tenant:
    """A tenant with its administrator, and a word that stands in everything it owns.

    Attributes:
        mark: A word that stands in what it owns and in the name of nothing.
        values: What it owns, by the names of the fields that name it.
        ids: Every id that it has ever been shown.
    """

    word: str
    tenant_id: str
    api_key: str
    mark: str = field(default_factory=lambda: f"mark{secrets.token_hex(8)}")
    values: dict[str, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    @property
    def identity(self) -> list[tuple[str, str]]:
        """What its administrator's calls carry."""
        return [("authorization", f"Bearer {self.api_key}")]

    @property
    def env(self) -> dict[str, str]:
        """What makes the command line work for it."""
        return {"ISTHMUS_API_KEY": self.api_key, "VENDOR_TOKEN": f"{PLANTED}{self.word}vendor"}


class Process(Signer):
    """A process of the mesh that the test has made."""

    def identity(self, tenant_id: str = "") -> list[tuple[str, str]]:
        """Gives what its calls carry, on behalf of a tenant or of nobody."""
        place = [("isthmus-tenant", tenant_id)] if tenant_id else []
        return [("authorization", f"Bearer {self.token()}"), *place]


@dataclass
class World:
    """The shared mesh, seen through its contract.

    Attributes:
        founders: Ids of those who have founded the tenants; every tenant is shown them.
        unharmed: Tenants that own something of every kind, and have it still.
        certificates: What the test's own processes of the mesh call with.
    """

    mesh: Any
    callers: Callers
    rpcs: list[Rpc]
    founders: set[str]
    certificates: Certificates
    unharmed: list[Tenant] = field(default_factory=list)

    @property
    def administrator(self) -> list[tuple[str, str]]:
        """What calls of the first tenant's administrator carry."""
        key = json.loads((self.mesh.home / "cli.json").read_text())["api_key"]
        return [("authorization", f"Bearer {key}")]

    async def tenant(self) -> Tenant:
        """Founds a tenant."""
        word = f"canary{secrets.token_hex(4)}"
        made = await self.do(self.administrator, "identity.CreateTenant", name=word)
        return Tenant(word, made.tenant.tenant_id, made.api_key)

    def with_permissions(self, wanted: Iterable[set[str]]) -> list[Process]:
        """Gives a process of the mesh for each set of permissions."""
        trust_file = self.mesh.home / "trust.json"
        trust = json.loads(trust_file.read_text())
        processes = []
        for permissions in wanted:
            name = f"test-{secrets.token_hex(8)}"
            private, entry = new_key(name, SUBJECT, permissions)
            key_file = self.mesh.home / "keys" / f"{name}.jwk"
            key_file.touch(mode=0o600)
            key_file.write_text(json.dumps(private))
            trust["keys"].append(entry)
            processes.append(Process(key_file))
        draft = trust_file.with_suffix(".draft")
        draft.write_text(json.dumps(trust))
        draft.replace(trust_file)
        return processes

    def rpc(self, name: str) -> Rpc:
        """Finds an RPC by its name, `registry.CreateInstance` for example."""
        return next(rpc for rpc in self.rpcs if f"{rpc.package}.{rpc.name}" == name)

    async def do(self, identity: Any, name: str, /, **values: Any) -> Any:
        """Calls an RPC with a request given as JSON and insists on success."""
        rpc = self.rpc(name)
        [request] = Filler({}).requests(rpc)
        json_format.ParseDict(values, request)
        done = await self.callers.call(rpc, [request], identity)
        assert done.code.name == "OK", f"{name}: {done.text}"
        return next(iter(done.answers), None)  # a check that takes long has told nothing yet

    async def read(self, identity: Any, values: dict[str, str]) -> list[Outcome]:
        """Asks everything that only reads: for all there is, and for what is named."""
        page = {"page_size": "1000"}
        reads = [rpc for rpc in self.rpcs if rpc.only_reads and not rpc.method.server_streaming]
        reads = [rpc for rpc in reads if rpc.name != "ListAuditRecords"]  # it grows a moment after each deed
        asked = [(rpc, Filler(named)) for rpc in reads for named in (page, values | page)]
        return await asyncio.gather(
            *(self.callers.call(rpc, filler.requests(rpc), identity) for rpc, filler in asked)
        )

    async def shown_to(self, tenant: Tenant) -> list[str]:
        """Asks everything that only reads as the tenant; gives the answers."""
        found = await self.read(tenant.identity, tenant.values)
        for answer in (answer for done in found for answer in done.answers):
            for name, text in texts_of(answer):
                tenant.ids.update(ULID.findall(text))
                if ULID.fullmatch(text):
                    tenant.values.setdefault(name, text)
        tenant.ids -= self.founders
        return [VOLATILE.sub("", done.text) for done in found]


def serving_service(rpc: Rpc) -> str:
    """Names the service that serves an RPC."""
    return "records" if rpc.package == "connector" else rpc.package


@pytest.fixture(scope="session")
async def world(mesh: Any) -> AsyncIterator[World]:
    """Gives the shared mesh with a way to call every RPC of it."""
    addresses = json.loads((mesh.home / "mesh.json").read_text())["mesh"]
    own = certificates(mesh.home, SUBJECT)
    callers = Callers(
        lambda rpc: addresses[serving_service(rpc)], own, lambda rpc: f"service:{serving_service(rpc)}"
    )
    founders = set(ULID.findall(mesh.answer("whoami")["subject"]))
    yield World(mesh, callers, all_rpcs(), founders, own)
    await callers.close()


@pytest.fixture
async def host_callers(world: World) -> AsyncIterator[Callers]:
    """Gives the way to the connector host that the instances of owners run in."""
    found = await world.do(world.administrator, "registry.ResolveHost", connectorId="http-json")
    host = found.host
    callers = Callers(lambda rpc: host.address, world.certificates, lambda rpc: serving(host.connector_id))
    yield callers
    await callers.close()


@pytest.fixture
async def owner(world: World, lasting_vendor: Any) -> Tenant:
    """Gives a tenant that owns something of every kind, to do with as one likes."""
    return world.unharmed.pop() if world.unharmed else await _owner(world, lasting_vendor)


@pytest.fixture
async def unharmed_owner(world: World, owner: Tenant) -> AsyncIterator[Tenant]:
    """Gives such a tenant to a test that fails where it changes anything."""
    yield owner
    world.unharmed.append(owner)


async def _owner(world: World, vendor: Any) -> Tenant:
    tenant = await world.tenant()
    records = [{"id": f"{tenant.word}-{n}", "level": n, "secret": tenant.mark} for n in ("1", "9")]
    vendor.serve_json(f"/{tenant.word}", {"items": records})
    for note in ("first", "second"):
        told = f"{tenant.word}-{note}-{tenant.mark}"
        documents = DOCUMENTS.format(word=tenant.word, url=vendor.url, note=told)
        await asyncio.to_thread(world.mesh.apply, documents, env=tenant.env)
    for flow in ("flow", "other", "both"):
        world.mesh.answer("sync", "run", f"{tenant.word}-{flow}", "--watch", env=tenant.env)
    world.mesh.answer("reconcile", "run", f"{tenant.word}-flow", "--watch", env=tenant.env)
    world.mesh.answer("plans", "run", f"{tenant.word}-plan", "--watch", env=tenant.env)
    await _furnish(world, tenant)
    await _settle(world, tenant)
    return tenant


async def _furnish(world: World, tenant: Tenant) -> None:
    """Makes what the command line has no words for."""
    word, key = tenant.word, tenant.identity
    subscription = {
        "name": f"{word}-subscription",
        "eventType": "isthmus.scheduling.sync.failed.v1",
        "actionType": "ACTION_TYPE_NOTIFICATION",
        "actionConfig": json.dumps({"message": word}),
    }
    await world.do(key, "events.CreateSubscription", subscription=subscription, requestId=word)
    heard = await world.do(key, "events.CreateSubscriber", name=f"{word}-subscriber")
    tenant.values |= {"subscriber_id": heard.subscriber.subscriber_id}
    account = await world.do(key, "identity.CreateServiceAccount", name=f"{word}-account", roles=["auditor"])
    service_account_id = account.service_account.service_account_id
    made = await world.do(
        key, "identity.CreateApiKey", serviceAccountId=service_account_id, name=f"{word}-key"
    )
    tenant.values |= {"service_account_id": service_account_id, "api_key_id": made.key.api_key_id}
    hub = await world.do(key, "registry.GetConnector", connectorId="http-json")
    spec = json_format.MessageToDict(hub.connector.spec)
    spec |= {"connectorId": f"{word}-connector", "isBuiltIn": False, "name": word}
    await world.do(key, "registry.RegisterConnector", spec=spec)
    host = {
        "hostId": f"{word}-host",
        "connectorId": f"{word}-connector",
        "connectorVersion": spec["version"],
        "address": "127.0.0.1:9",
    }
    [process] = world.with_permissions([{"registry.hosts.register"}])
    await world.do(process.identity(tenant.tenant_id), "registry.RegisterHost", host=host)
    await world.do(key, "events.PublishEvent", type=f"custom.{word}.happened.v1", subject=word, data="{}")
    await _link(world, tenant)
    await _change_schema(world, tenant)
    await _register_schemas(world, tenant)
    await _let_in(world, tenant)
    await _authorize(world, tenant)


async def _let_in(world: World, tenant: Tenant) -> None:
    """Has a user of the tenant log in, who is in a group."""
    key, word, password = tenant.identity, tenant.word, canary("password")
    made = await world.do(key, "identity.CreateUser", name=f"{word}-user", password=password)
    who = {"tenantName": word, "userName": f"{word}-user", "password": password}
    inside = await world.do([], "identity.Login", **who)
    tenant.values |= {"user_id": made.user.user_id, "session_id": inside.session.session_id}
    group = await world.do(key, "identity.CreateGroup", name=f"{word}-group", roles=["auditor"])
    member = {"groupId": group.group.group_id, "userIds": [made.user.user_id]}
    await world.do(key, "identity.AddGroupMembers", **member)
    vouching = {"name": f"{word}-provider", "issuer": "https://idp.example", "client_id": word}
    request = providers_pb2.CreateProviderRequest(provider=vouching, client_secret=f"{PLANTED}{word}provider")
    done = await world.callers.call(world.rpc("identity.CreateProvider"), [request], key)
    [provider] = done.answers
    tenant.values |= {"provider_id": provider.provider.provider_id}
    await world.do(key, "identity.CreateRole", name=f"{word}_role", permissions=["registry.*.read"])
    tenant.values |= {"group_id": group.group.group_id, "role": f"{word}_role", "user_ids": made.user.user_id}
    document = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": f"{word}-provisioned"}
    provision = scim_pb2.CreateScimResourceRequest(
        resource_type=scim_pb2.SCIM_RESOURCE_TYPE_USER, document=json.dumps(document).encode()
    )
    done = await world.callers.call(world.rpc("identity.CreateScimResource"), [provision], key)
    [provisioned] = done.answers
    tenant.values |= {"resource_id": provisioned.resource.resource_id}
    tenant.values |= {"service_account_ids": tenant.values["service_account_id"]}
    await _ask_for_access(world, tenant)


async def _ask_for_access(world: World, tenant: Tenant) -> None:
    """Has somebody else than the administrator ask for roles in the tenant."""
    word, key = tenant.word, tenant.identity
    roles = ["tenant_admin"]
    asking = await world.do(key, "identity.CreateServiceAccount", name=f"{word}-asking", roles=roles)
    account_id = asking.service_account.service_account_id
    made = await world.do(key, "identity.CreateApiKey", serviceAccountId=account_id, name=f"{word}-asks")
    requester = [("authorization", f"Bearer {made.api_key}")]
    asked = await world.do(requester, "identity.RequestOwnAccess", reason=word, roles=["auditor"])
    tenant.values |= {"support_access_id": asked.support_access.support_access_id}


async def _authorize(world: World, tenant: Tenant) -> None:
    """Begins to have credentials authorized by a person, in the browser and on another device."""
    word = tenant.word
    async with HttpServer() as server:
        code = {"device_code": word, "user_code": "AB", "verification_uri": f"{server.url}/enter"}
        server.on("/device", code, "POST")
        client = {
            "clientId": word,
            "tokenUrl": f"{server.url}/token",
            "authorizationUrl": f"{server.url}/authorize",
            "deviceAuthorizationUrl": f"{server.url}/device",
        }

        async def begun(kind: str, rpc: str, **more: str) -> Any:
            made = await world.do(
                tenant.identity,
                "credentials.CreateAuthConfig",
                name=f"{word}-{kind}",
                authType=f"AUTH_METHOD_OAUTH2_{kind.upper()}_CODE",
                oauthConfig=client,
                secret={"oauth": {"clientSecret": f"{PLANTED}{word}oauth"}},
            )
            held = made.auth_config.auth_config_id
            return await world.do(tenant.identity, f"credentials.{rpc}", authConfigId=held, **more)

        device = await begun("device", "BeginDeviceAuthorization")
        browser = await begun("authorization", "BeginAuthorization", redirectUri="https://app.example/back")
    tenant.values["authorization_id"] = device.authorization_id
    tenant.values["CompleteAuthorizationRequest.state"] = browser.state


async def _link(world: World, tenant: Tenant) -> None:
    """Makes a link, as a destination without transactions has them."""
    word = tenant.word
    flows = (await world.do(tenant.identity, "scheduling.ListFlows")).flows
    [process] = world.with_permissions([{"records.links.write"}])
    writer = process.identity(tenant.tenant_id)
    wanted = {"flowId": flows[0].flow_id, "claim": word, "fencingToken": "1"}
    intents = [{"key": f"{word}-1", "correlationId": word, "operation": "OPERATION_UPSERT"}]
    await world.do(writer, "records.PutIntents", **wanted, intents=intents)
    done = [{"key": f"{word}-1", "result": "RESULT_DONE", "externalId": f"{word}-ticket"}]
    await world.do(writer, "records.SettleIntents", flowId=wanted["flowId"], claim=word, settlements=done)
    tenant.values |= {"external_id": f"{word}-ticket", "flow_id": flows[0].flow_id}
    tenant.values["compensation_flow_id"] = flows[1].flow_id


async def _change_schema(world: World, tenant: Tenant) -> None:
    """Has a stream change so that somebody has to decide, as a host would find."""
    flows = (await world.do(tenant.identity, "scheduling.ListFlows")).flows
    [process] = world.with_permissions([{"mapping.schemas.observe"}])
    host = process.identity(tenant.tenant_id)
    met = {"flowId": flows[0].flow_id, "instanceId": "hub", "stream": f"{tenant.word}-other"}
    for kind in ("string", "integer"):
        schema = json.dumps({"type": "object", "properties": {tenant.word: {"type": kind}}})
        asked = {**met, "seenSchema": schema, "seenRecords": "10", "readsEverything": True}
        answer = await world.do(host, "mapping.ObserveSchema", **asked)
    tenant.values["change_id"] = answer.change.change_id


async def _register_schemas(world: World, tenant: Tenant) -> None:
    """Registers a schema in two versions that need not go with what is registered next."""
    free = {"compatibility": {"subject": tenant.word, "level": "COMPATIBILITY_LEVEL_NONE"}}
    await world.do(tenant.identity, "mapping.SetSchemaCompatibility", **free)
    for kind in ("string", "integer"):
        schema = json.dumps({"title": tenant.word, "properties": {tenant.mark: {"type": kind}}})
        request = {"subject": tenant.word, "definition": schema}
        await world.do(tenant.identity, "mapping.RegisterSchemaVersion", **request)


async def _settle(world: World, tenant: Tenant) -> None:
    """Waits until all that the tenant's doings have caused can be seen."""
    word = tenant.word
    tenant.values |= {
        "tenant_id": tenant.tenant_id,
        "connector_id": f"{word}-connector",
        "host_id": f"{word}-host",
        "stream": f"{word}-stream",
        "key": f"{word}-1",
        "subject": word,
        "text": word,
        "request_id": word,
        "UsageCount.quota": "events_per_day",
    }
    wanted = {"event_id", "log_id", "quarantine_id", "execution_id", "schedule_id", "subscription_id"}
    wanted |= {"conflict_id", "report_id"}
    wanted |= {"plan_id", "plan_run_id"}
    shown: list[list[str]] = [[], []]

    async def missing() -> set[str]:
        shown[:] = [shown[1], await world.shown_to(tenant)]
        return wanted - tenant.values.keys()

    await eventually(
        missing, "it to settle", such=lambda names: not names and shown[0] == shown[1], pause=0.3
    )
    tenant.values["quarantine_ids"] = tenant.values["quarantine_id"]
    tenant.values["external_ids"] = tenant.values["correlation_ids"] = tenant.values["external_id"]
    tenant.values["reverse_mapping_id"] = tenant.values["mapping_id"]
    tenant.values["after_event_id"] = tenant.values["event_id"]
