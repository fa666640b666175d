"""Secrets of Microsoft Entra applications, which Microsoft Graph adds and removes."""

import json
import re
import secrets
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit import Clock, Database, new_id
from isthmus.resilience.faults import Precondition
from isthmus.services.credentials.rotating import Rotating
from isthmus.services.credentials.store import Rows
from isthmus.services.credentials.token_server import TokenServers
from isthmus.services.credentials.ways import EntraWay, Ways
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.shared import shared

ENTERED = "0ld-entered-by-a-person"
FOREIGN = {"displayName": "of somebody else", "hint": "xyz", "secretText": "xyz-foreign"}


class Directory:
    """One application with its passwords, as Entra and Graph serve it."""

    def __init__(self, http):
        self.passwords = [
            {**one, "keyId": new_id("key")} for one in (FOREIGN, {"hint": "0ld", "secretText": ENTERED})
        ]
        self.lost = self.forbidden = False
        self.sent = []
        own = "/v1.0/applications(appId='mesh')"
        http.on("/token", self.token, "POST")
        http.on(own, self.read, "GET")
        http.on(f"{own}/addPassword", self.add, "POST")
        http.on(f"{own}/removePassword", self.remove, "POST")

    @property
    def good(self):
        return [one["secretText"] for one in self.passwords]

    def token(self, request):
        form = dict(parse_qsl(request.body.decode()))
        if form["client_secret"] not in self.good:
            return Answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215"})
        return {"access_token": form["scope"], "token_type": "Bearer", "expires_in": 3599}

    def read(self, request):
        assert request.headers["authorization"].endswith("/.default")
        return {"passwordCredentials": [{**one, "secretText": None} for one in self.passwords]}

    def add(self, request):
        if self.forbidden:
            return Answer(403, {"error": {"code": "Authorization_RequestDenied", "message": "no"}})
        wished = request.json["passwordCredential"]
        self.sent.append(wished)
        text = f"made-{secrets.token_hex(8)}"
        made = {**wished, "keyId": new_id("key"), "hint": text[:3], "secretText": text}
        self.passwords.append(made)
        return Answer(503) if self.lost else made

    def remove(self, request):
        self.passwords = [one for one in self.passwords if one["keyId"] != request.json["keyId"]]
        return Answer(204)


class Later(Clock):
    """A clock that can be put forward."""

    ahead = timedelta()

    def now(self):
        return super().now() + self.ahead


class Told:
    """Remembers what the mesh would be told."""

    def __init__(self):
        self.of = []

    async def changed(self, conn, verb, config, subject):
        self.of.append(verb)


@pytest.fixture
async def directory():
    async with HttpServer() as http:
        given = Directory(http)
        given.url = http.url
        yield given


@pytest.fixture
async def rotating(replicas, vault, directory):
    """The service's rotations with a clock of their own."""
    db = Database(replicas[0].settings.database_url.get_secret_value(), "credentials", pool=2)
    servers, clock, told = TokenServers(seconds=30, unknown_lifetime=300), Later(), Told()
    ways = Ways([EntraWay(servers, directory.url, clock=clock).choose])
    given = Rotating(db, vault.open("credentials"), told, ways, clock=clock)
    given.clock, given.told, given.db = clock, told, db
    yield given
    await servers.close()
    await db.close()


@pytest.fixture
async def config(stub, tenant, directory, rotating):
    """A service principal whose secret a person has entered."""
    request = pb.CreateAuthConfigRequest(
        name=new_id("nam"),
        auth_type=connector_pb2.AUTH_METHOD_OAUTH2_CLIENT_CREDENTIALS,
        oauth_config=pb.OAuthConfig(
            client_id="mesh",
            token_url=f"{directory.url}/token",
            entra_tenant="contoso.onmicrosoft.com",
            scopes=["https://graph.microsoft.com/.default"],
            client_authentication=pb.OAuthConfig.CLIENT_AUTHENTICATION_POST,
        ),
        secret=pb.SecretMaterial(oauth=pb.OAuthSecret(client_secret=ENTERED)),
    )
    made = (await stub.CreateAuthConfig(request)).auth_config.auth_config_id

    async def read():
        async with rotating.db.tenant(tenant) as conn:
            return await Rows(conn).get(made)

    return read


async def test_an_application_gets_another_password_and_loses_the_one_before(config, directory, rotating):
    """
    Both work until the overlap is over; passwords of others are left alone.
    """
    await rotating.start(await config(), "usr_1", 3600)
    during = await config()
    both = list(directory.good)
    rotating.clock.ahead = timedelta(hours=2)
    await rotating.sweep()

    assert (ENTERED in both, len(both)) == (True, 3)
    assert (ENTERED in directory.good, FOREIGN["secretText"] in directory.good) == (False, True)
    assert during.expire_time is not None
    assert rotating.told.of == ["rotated", "retired"]


async def test_a_password_whose_answer_was_lost_is_removed_before_the_next_is_made(
    config, directory, rotating
):
    """
    The old one counts all the while.
    """
    directory.lost = True
    with pytest.raises(Exception, match="Graph"):
        await rotating.start(await config(), "usr_1", 3600)
    between, directory.lost = await config(), False
    rotating.clock.ahead = timedelta(hours=1)
    await rotating.sweep()

    assert (between.secret_version, between.rotation.failures) == (1, 1)
    assert (await config()).secret_version == 2
    assert len(directory.good) == 3


async def test_what_the_vault_has_is_taken_up_by_whoever_comes_next(
    config, directory, rotating, tenant, vault
):
    """
    Somebody died between the vault and the database: no third password is made.
    """
    held = await config()
    folder = vault.open("credentials").tenant(tenant)
    made = directory.add(type("Asked", (), {"json": {"passwordCredential": {"displayName": "isthmus"}}}))
    values = {
        "client_secret": made["secretText"],
        "reference": made["keyId"],
        "rotated_from": str(held.secret_version),
    }
    version = await folder.write(held.auth_config_id, values)
    await rotating.start(held, "usr_1", 3600)

    assert (await config()).secret_version == version
    assert len(directory.sent) == 1


async def test_an_application_that_may_not_look_after_itself_is_told_what_it_needs(
    config, directory, rotating
):
    """
    What a person began and cannot be is over at once.
    """
    directory.forbidden = True
    with pytest.raises(Precondition) as caught:
        await rotating.start(await config(), "usr_1", 3600)

    assert caught.value.reason == "ROTATION_NOT_PERMITTED"
    assert "Application.ReadWrite.OwnedBy" in caught.value.message
    assert not (await config()).rotation.stage


async def test_what_is_sent_and_read_is_as_the_vendor_describes_it(config, directory, rotating):
    """
    Names and formats of a password credential.
    """
    described = json.loads(shared("contracts", "entra", "openapi.json").read_text())
    await rotating.start(await config(), "usr_1", 3600)

    schema = described["components"]["schemas"]["microsoft.graph.passwordCredential"]
    properties = schema["properties"]
    assert directory.sent[0].keys() | {"keyId", "hint", "secretText"} <= properties.keys()
    assert re.fullmatch(properties["endDateTime"]["pattern"], directory.sent[0]["endDateTime"])
