"""Access tokens over gRPC: two replicas of the service, and a token server that misbehaves."""

import asyncio
from dataclasses import replace

import grpc.aio
import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.credentials.v1 import credentials_pb2_grpc as pb_grpc
from isthmus.kit import Clock, Database, fault_from_rpc_error, new_id
from isthmus.resilience.faults import Precondition, RetryLater
from isthmus.services.credentials.grants import Grants
from isthmus.services.credentials.refreshing import Patience, Tokens
from isthmus.services.credentials.store import Rows, TokenRows
from isthmus.services.credentials.token_server import TokenServers
from isthmus.testing.http_server import Answer, HttpServer
from isthmus.testing.token_server import TokenServer

CLIENT, CODE = (
    connector_pb2.AUTH_METHOD_OAUTH2_CLIENT_CREDENTIALS,
    connector_pb2.AUTH_METHOD_OAUTH2_AUTHORIZATION_CODE,
)
OPTIONS = {
    "token_settle_seconds": 0,
    "token_hold_seconds": 2,
    "token_seconds": 30,
    "token_wait_seconds": 30,
}
Step = connector_pb2.CheckStep


@pytest.fixture(scope="module")
async def replicas(open_mesh):
    async with open_mesh() as mesh:
        first = await mesh.start("credentials", **OPTIONS)
        yield [first, await mesh.start("credentials", replica=True, **OPTIONS)]


@pytest.fixture
def tenant():
    return new_id("tnt")


@pytest.fixture
async def server():
    async with HttpServer() as http:
        given = TokenServer()
        given.http, given.url = http, given.serve(http)
        yield given


@pytest.fixture
def stub(replicas, tenant):
    return pb_grpc.CredentialsServiceStub(replicas[0].channel(tenant))


@pytest.fixture
def hosts(replicas, tenant):
    """A host's view of each replica."""
    return [host_of(service, tenant) for service in replicas]


def host_of(service, tenant):
    return pb_grpc.CredentialsServiceStub(service.channel(tenant, ("credentials.leases.create",), mesh=True))


class Refresher(Tokens):
    """The service's own, without gRPC around it: a connection there carries 100 calls at most."""

    is_alive = True

    def fall_silent(self):
        """From now on it does not keep its lease, which ends at once."""
        self._patience, self.is_alive = replace(self._patience, hold=0.2), False

    async def load(self, tenant, auth_config_id):
        async with self._db.tenant(tenant) as conn:
            return await Rows(conn).get(auth_config_id), await TokenRows(conn).find(auth_config_id)

    async def claim(self, config, row):
        async with self._db.tenant(config.tenant_id) as conn:
            return await TokenRows(conn).claim(row, "dead", 0.2)

    async def _holding(self, config, own):
        if self.is_alive:
            await super()._holding(config, own)


@pytest.fixture
async def refreshers(replicas, vault):
    """One for each replica, with a pool of connections of its own."""
    url = replicas[0].settings.database_url.get_secret_value()
    safe = vault.open("credentials")
    databases = [Database(url, "credentials", pool=4) for _ in replicas]
    grants = Grants(safe, TokenServers(seconds=30, unknown_lifetime=300))
    patience = Patience(hold=6, wait=30, settle=0)
    yield [Refresher(db, safe, grants, clock=Clock(), patience=patience) for db in databases]
    for db in databases:
        await db.close()


@pytest.fixture
def create(stub, server):
    """Creates a configuration; gives its id."""

    async def made(auth_type=CLIENT, scopes=("read",), secret=None, **oauth):
        oauth = {"token_url": server.url, "client_id": "mesh", **oauth}
        request = pb.CreateAuthConfigRequest(
            name=new_id("nam"),
            auth_type=auth_type,
            oauth_config=pb.OAuthConfig(scopes=scopes, **oauth),
            secret=pb.SecretMaterial(oauth=pb.OAuthSecret(**(secret or {"client_secret": "client-secret"}))),
        )
        return (await stub.CreateAuthConfig(request)).auth_config.auth_config_id

    return made


@pytest.fixture
def rotating(create, server):
    """Creates a configuration with a refresh token."""

    async def made():
        secret = {"client_secret": "client-secret", "refresh_token": server.authorize("read")}
        return await create(CODE, secret=secret)

    return made


def lease(host, auth_config_id):
    return host.LeaseCredential(pb.LeaseCredentialRequest(auth_config_id=auth_config_id), timeout=60)


async def refresh(host, auth_config_id, refused):
    request = pb.RefreshCredentialRequest(
        auth_config_id=auth_config_id, refused_token_id=refused.access_token.token_id
    )
    return (await host.RefreshCredential(request, timeout=60)).lease


async def status(stub, auth_config_id):
    got = await stub.GetAuthConfig(pb.GetAuthConfigRequest(auth_config_id=auth_config_id))
    return got.auth_config.token_status


async def refusal(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return fault_from_rpc_error(caught.value)


async def test_a_host_gets_a_short_lived_token_and_nothing_else(create, hosts, server):
    """
    The lease ends no later than the token, tells its scopes, and has no client secret in it.
    """
    lent = await lease(hosts[0], await create(audience="https://api.example"))

    assert lent.secret.bearer_token in server.good
    assert "client-secret" not in str(lent)
    assert list(lent.access_token.scopes) == ["read"]
    assert lent.expire_time.seconds <= lent.access_token.expire_time.seconds
    assert server.asked == [
        {"grant_type": "client_credentials", "scope": "read", "audience": "https://api.example"}
    ]


async def test_five_hundred_callers_of_two_replicas_make_one_refresh(rotating, refreshers, tenant, server):
    """
    Everybody gets the token of the one who asked.
    """
    config, row = await refreshers[0].load(tenant, await rotating())

    got = await asyncio.gather(*(refreshers[turn % 2].current(config, row) for turn in range(500)))

    assert len(server.asked) == 1
    assert {one.value for one in got} == server.good


async def test_a_token_server_slower_than_the_lease_is_asked_once(rotating, hosts, server):
    """
    Whoever is alive keeps the lease for as long as it takes.
    """
    held = await rotating()
    server.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(lease(hosts[turn % 2], held)) for turn in range(10)]
    await asyncio.sleep(1.2 * OPTIONS["token_hold_seconds"])
    server.hold.set()

    lent = await asyncio.gather(*waiting)

    assert len(server.asked) == 1
    assert len({one.secret.bearer_token for one in lent}) == 1


async def test_a_token_that_ended_early_is_replaced_once(rotating, hosts, server):
    """
    Many hosts are refused with the same token at the same time.
    """
    held = await rotating()
    refused = await lease(hosts[0], held)
    server.good.clear()

    lent = await asyncio.gather(*(refresh(hosts[turn % 2], held, refused) for turn in range(50)))

    assert len(server.asked) == 2
    assert {one.secret.bearer_token for one in lent} == server.good


async def test_rotated_refresh_tokens_follow_one_another(rotating, hosts, server):
    """
    Each refresh uses what the one before has given; none comes twice.
    """
    held = await rotating()
    lent = await lease(hosts[0], held)
    for turn in range(4):
        lent = await refresh(hosts[turn % 2], held, lent)

    used = [form["refresh_token"] for form in server.asked]
    assert len(set(used)) == 5
    assert lent.secret.bearer_token in server.good


@pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "lasting"])
async def test_a_lost_answer_ends_in_a_token_or_in_one_clear_state(rotating, hosts, server, stub, rotates):
    """
    Where the server gives the old token another chance all is well; else a person has to authorize again.
    """
    held = await rotating()
    server.rotates, server.lost = rotates, 1
    first = await refusal(lease(hosts[0], held))

    request = pb.RefreshAuthConfigRequest(auth_config_id=held)
    if rotates:
        fault = await refusal(stub.RefreshAuthConfig(request))
        again = await refusal(lease(hosts[1], held))
    else:
        assert (await stub.RefreshAuthConfig(request)).auth_config.token_status.token_id

    assert (type(first), first.reason) == (RetryLater, "TOKEN_SERVER_UNREACHABLE")
    if rotates:
        assert (fault.reason, again.reason) == ("REAUTHORIZATION_NEEDED", "REAUTHORIZATION_NEEDED")
        assert "was lost" in fault.message
        assert (await status(stub, held)).state == pb.TokenStatus.STATE_REAUTHORIZATION_NEEDED


ANSWERS = {
    "invalid_client": (Answer(401, {"error": "invalid_client"}), Precondition, "TOKEN_CLIENT_REFUSED"),
    "invalid_scope": (Answer(400, {"error": "invalid_scope"}), Precondition, "TOKEN_SCOPE_REFUSED"),
    "unknown": (Answer(400, {"error": "unsupported_grant_type"}), Precondition, "TOKEN_REQUEST_REFUSED"),
    "slow_down": (Answer(400, {"error": "slow_down"}), RetryLater, "TOKEN_SERVER_BUSY"),
    "limit": (Answer(429, b"", {"retry-after": "7"}), RetryLater, "TOKEN_SERVER_BUSY"),
    "broken": (Answer(503, "<html>"), RetryLater, "TOKEN_SERVER_UNREACHABLE"),
    "html": (Answer(200, "<html>sign in</html>"), Precondition, "TOKEN_ANSWER_INVALID"),
    "array": (Answer(200, "[1]"), Precondition, "TOKEN_ANSWER_INVALID"),
    "moved": (Answer(302, b"", {"location": "http://127.0.0.1:9/"}), Precondition, "TOKEN_ANSWER_INVALID"),
    "empty": (Answer(200, {"access_token": ""}), Precondition, "TOKEN_ANSWER_INVALID"),
    "other": (Answer(200, {"access_token": "a", "token_type": "mac"}), Precondition, "TOKEN_ANSWER_INVALID"),
    "cut": (Answer(200, {"access_token": "a"}, cut=5), RetryLater, "TOKEN_SERVER_UNREACHABLE"),
    "deep": (Answer(200, "[" * 100_000), Precondition, "TOKEN_ANSWER_INVALID"),
    "huge": (Answer(200, "x" * 300_000), Precondition, "TOKEN_ANSWER_INVALID"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_a_token_server_refuses_ends_in_a_fault_with_a_remedy(create, hosts, server, stub, name):
    """
    The fault says what to do, repeats no secret, and the server is not asked again at once.
    """
    answer, kind, reason = ANSWERS[name]
    server.failures = [answer]
    held = await create()

    fault = await refusal(lease(hosts[0], held))
    again = await refusal(lease(hosts[1], held))

    assert (type(fault), fault.reason, again.reason) == (kind, reason, reason)
    assert "client-secret" not in fault.message
    assert (await status(stub, held)).failure_reason == reason


async def test_a_token_that_still_holds_is_lent_while_its_server_is_away(rotating, hosts, server):
    """
    A refusal by the external system is another matter: that token is not lent again.
    """
    server.expires_in = 30 * 86_400
    held = await rotating()
    lent = await lease(hosts[0], held)
    server.failures = [Answer(503, "")]

    fault = await refusal(refresh(hosts[0], held, lent))

    assert (await lease(hosts[1], held)).secret.bearer_token == lent.secret.bearer_token
    assert fault.reason == "TOKEN_SERVER_UNREACHABLE"


async def test_a_changed_client_ends_the_token_of_before(create, hosts, server, stub):
    """
    The next lease is of a token that was got with the new configuration.
    """
    held = await create()
    before = await lease(hosts[0], held)
    changed = pb.OAuthConfig(token_url=server.url, client_id="mesh", scopes=["write"])
    request = pb.UpdateAuthConfigRequest(auth_config_id=held, name=new_id("nam"), oauth_config=changed)
    await stub.UpdateAuthConfig(request)

    after = await lease(hosts[1], held)

    assert list(after.access_token.scopes) == ["write"]
    assert after.secret.bearer_token != before.secret.bearer_token


async def test_a_test_tells_how_far_a_configuration_works(create, server, stub):
    """
    Scopes that were not granted are a warning; a wrong secret fails the step and skips the rest.
    """
    server.granted = lambda asked: "read"
    good, bad = await create(scopes=["read", "write"]), await create(secret={"client_secret": "wrong"})

    first = await stub.TestAuthConfig(pb.TestAuthConfigRequest(auth_config_id=good))
    second = await stub.TestAuthConfig(pb.TestAuthConfigRequest(auth_config_id=bad))

    results = {step.step: Step.Result.Name(step.result).removeprefix("RESULT_") for step in first.steps}
    assert results == {"expiry": "PASSED", "secret": "PASSED", "token": "PASSED", "scopes": "WARNING"}
    assert [step.reason for step in second.steps][2:] == ["TOKEN_CLIENT_REFUSED", "SKIPPED"]
    assert (first.is_usable, second.is_usable) == (True, False)


async def test_a_client_may_sign_in_place_of_a_secret(create, hosts, server):
    """
    The assertion is checked by its public key.
    """
    from joserfc.jwk import RSAKey

    key = RSAKey.generate_key(2048)
    server.keys["mesh"] = key
    pem = key.as_pem(private=True).decode()
    held = await create(
        secret={"private_key": pem},
        client_authentication=pb.OAuthConfig.CLIENT_AUTHENTICATION_PRIVATE_KEY_JWT,
    )

    assert (await lease(hosts[0], held)).secret.bearer_token in server.good


async def test_an_address_that_no_secret_may_go_to_is_refused(create):
    """
    Plain http is for the loopback interface only.
    """
    fault = await refusal(create(token_url="http://login.example/token"))

    assert [violation.path for violation in fault.violations] == ["oauth_config.token_url"]


async def test_secrets_of_clients_are_in_no_table(rotating, hosts, replicas, server):
    """
    Neither client secret nor refresh token nor access token lies in PostgreSQL.
    """
    import psycopg

    lent = await lease(hosts[0], await rotating())

    url = replicas[0].settings.database_url.get_secret_value()
    with psycopg.connect(url) as connection:
        connection.execute("set role isthmus_credentials_system")
        tables = ("auth_configs", "leases", "tokens", "outbox", "idempotency")
        dump = str([connection.execute(f"select * from credentials.{table}").fetchall() for table in tables])
    secrets = ["client-secret", lent.secret.bearer_token, server.asked[0]["refresh_token"]]
    assert lent.access_token.token_id in dump
    assert [secret for secret in secrets if secret in dump] == []


async def test_a_refresher_that_died_before_asking_is_followed_by_another(
    rotating, refreshers, tenant, server
):
    """
    Its lease ends, and nobody has to mend anything.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    await refreshers[0].claim(config, row)

    got = await refreshers[1].current(config, row)

    assert got.value in server.good
    assert len(server.asked) == 1


async def test_what_a_refresher_stored_before_it_died_is_found(rotating, refreshers, tenant, server):
    """
    The token and the rotated refresh token are in the vault; the next one takes them up.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    own = await refreshers[0].claim(config, row)
    token, _ = await refreshers[0]._got(config, own, row)

    got = await refreshers[1].current(config, row)

    assert got == token
    assert len(server.asked) == 1


async def test_one_who_wakes_up_late_with_the_only_good_refresh_token_mends_it(
    rotating, refreshers, tenant, server
):
    """
    Its lease went to another, whom the token server refused; what it brings counts all the same.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    refreshers[0].fall_silent()
    server.hold = slow = asyncio.Event()
    late = asyncio.create_task(refreshers[0].current(config, row))
    await server.arrival()
    server.hold = None
    with pytest.raises(Precondition):
        await refreshers[1].current(config, row)
    slow.set()
    await late

    _, row = await refreshers[1].load(tenant, config.auth_config_id)
    assert (await refreshers[1].current(config, row)).value in server.good


async def test_a_vault_that_is_away_when_the_answer_comes_loses_nothing(
    rotating, refreshers, tenant, vault, server
):
    """
    The rotated refresh token is kept until the vault takes it.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    server.hold = asyncio.Event()
    waiting = asyncio.create_task(refreshers[0].current(config, row))
    await server.arrival()
    vault.kill()
    server.hold.set()
    vault.start()

    assert (await waiting).value in server.good
