"""Access tokens over gRPC, from a token server that misbehaves."""

import asyncio
import gzip

import pytest
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.kit import new_id
from isthmus.resilience.faults import Precondition, RetryLater
from isthmus.testing.http_server import Answer
from isthmus.testing.token_server import CLIENT_SECRET

Step = connector_pb2.CheckStep


async def test_a_host_gets_a_short_lived_token_and_nothing_else(create, hosts, server, lease):
    """
    The lease ends no later than the token, tells its scopes, and has no client secret in it.
    """
    lent = await lease(hosts[0], await create(audience="https://api.example"))

    assert lent.secret.bearer_token in server.good
    assert CLIENT_SECRET not in str(lent)
    assert list(lent.access_token.scopes) == ["read"]
    assert lent.expire_time.seconds <= lent.access_token.expire_time.seconds
    assert server.asked == [
        {"grant_type": "client_credentials", "scope": "read", "audience": "https://api.example"}
    ]


async def test_a_token_server_that_takes_its_time_is_asked_once(rotating, hosts, server, lease, held_until):
    """
    Whoever is alive keeps the lease for as long as it takes; the others wait for the answer.
    """
    held = await rotating()
    server.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(lease(hosts[turn % 2], held)) for turn in range(10)]
    await server.arrival()
    first = await held_until(held)
    while await held_until(held) == first:
        await asyncio.sleep(0.05)
    server.hold.set()

    lent = await asyncio.gather(*waiting)

    assert len(server.asked) == 1
    assert len({one.secret.bearer_token for one in lent}) == 1


async def test_a_token_that_ended_early_is_replaced_once(rotating, hosts, server, lease, refresh):
    """
    Many hosts are refused with the same token at the same time.
    """
    held = await rotating()
    refused = await lease(hosts[0], held)
    server.good.clear()

    lent = await asyncio.gather(*(refresh(hosts[turn % 2], held, refused) for turn in range(50)))

    assert len(server.asked) == 2
    assert {one.secret.bearer_token for one in lent} == server.good


async def test_rotated_refresh_tokens_follow_one_another(rotating, hosts, server, lease, refresh):
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
async def test_a_lost_answer_ends_in_a_token_or_in_one_clear_state(
    rotating, hosts, server, stub, rotates, lease, status, refusal
):
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
        assert (await status(held)).state == pb.TokenStatus.STATE_REAUTHORIZATION_NEEDED


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
    "packed": (
        Answer(200, gzip.compress(b'{"access_token": "a"}'), {"content-encoding": "gzip"}),
        Precondition,
        "TOKEN_ANSWER_INVALID",
    ),
    "huge": (Answer(200, "x" * 300_000), Precondition, "TOKEN_ANSWER_INVALID"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_a_token_server_refuses_ends_in_a_fault_with_a_remedy(
    create, hosts, server, name, lease, status, refusal
):
    """
    The fault says what to do, repeats no secret, and the server is not asked again at once.
    """
    answer, kind, reason = ANSWERS[name]
    server.failures = [answer]
    held = await create()

    fault = await refusal(lease(hosts[0], held))
    again = await refusal(lease(hosts[1], held))

    assert (type(fault), fault.reason, again.reason) == (kind, reason, reason)
    assert CLIENT_SECRET not in fault.message
    assert (await status(held)).failure_reason == reason


async def test_a_token_that_still_holds_is_lent_while_its_server_is_away(
    rotating, hosts, server, lease, refresh, refusal
):
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


async def test_a_revoked_consent_takes_its_tokens_along(
    rotating, hosts, server, stub, lease, refusal, replicas
):
    """
    Nothing is left in the vault that a new lease could be made of.
    """
    held = await rotating()
    await lease(hosts[0], held)
    await stub.RevokeAuthConfig(pb.RevokeAuthConfigRequest(auth_config_id=held))

    faults = [await refusal(lease(host, held)) for host in hosts]
    person = await refusal(stub.RefreshAuthConfig(pb.RefreshAuthConfigRequest(auth_config_id=held)))
    tested = await stub.TestAuthConfig(pb.TestAuthConfigRequest(auth_config_id=held))

    assert {fault.reason for fault in (*faults, person)} == {"AUTH_CONFIG_REVOKED"}
    assert tested.steps[0].reason == "AUTH_CONFIG_REVOKED"
    assert len(server.asked) == 1


async def test_a_client_in_rotation_gets_tokens_with_whichever_secret_is_known(
    create, hosts, server, stub, lease
):
    """
    The new one is tried first; the old one while the overlap lasts.
    """
    held = await create()
    secret = pb.SecretMaterial(oauth=pb.OAuthSecret(client_secret="new-secret"))
    await stub.RotateAuthConfig(pb.RotateAuthConfigRequest(auth_config_id=held, secret=secret))
    await lease(hosts[0], held)
    server.clients["mesh"] = "new-secret"

    renewed = await stub.RefreshAuthConfig(pb.RefreshAuthConfigRequest(auth_config_id=held))

    assert renewed.auth_config.token_status.token_id
    assert len(server.asked) == 3


async def test_a_changed_client_ends_the_token_of_before(create, hosts, server, stub, lease):
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


async def test_a_client_may_sign_in_place_of_a_secret(create, hosts, server, lease):
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


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
async def test_a_service_account_signs_what_it_wants(create, hosts, server, lease, algorithm):
    """
    RFC 7523: the assertion is the grant, with the scopes in it as Google wants them.
    """
    from joserfc.jwk import ECKey, RSAKey

    key = ECKey.generate_key("P-256") if algorithm == "ES256" else RSAKey.generate_key(2048)
    server.keys["robot"] = key
    pem = key.as_pem(private=True).decode()
    held = await create(
        connector_pb2.AUTH_METHOD_JWT_BEARER,
        secret={"private_key": pem},
        signing_algorithm=algorithm,
        subject="ada@example.com",
    )

    lent = await lease(hosts[0], held)

    assert lent.secret.bearer_token in server.good
    assert list(lent.access_token.scopes) == ["read"]


async def test_entra_finds_the_certificate_by_its_thumbprints(create, hosts, server, lease):
    """
    The assertion names them in its header; the addresses follow from the directory unless they are given.
    """
    from joserfc import jws

    key, certificate = own_certificate()
    server.keys["mesh"] = key
    held = await create(
        scopes=["https://graph.microsoft.com/.default"],
        entra_tenant="contoso.onmicrosoft.com",
        secret={"private_key": key.as_pem(private=True).decode(), "certificate": certificate},
        client_authentication=pb.OAuthConfig.CLIENT_AUTHENTICATION_PRIVATE_KEY_JWT,
        signing_algorithm="PS256",
    )

    await lease(hosts[0], held)

    header = jws.extract_compact(server.asked[0]["client_assertion"].encode()).headers()
    assert header["alg"] == "PS256"
    assert {"x5t", "x5t#S256"} <= header.keys()


def own_certificate():
    """A key with a certificate that it has signed itself."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from joserfc.jwk import RSAKey

    key = RSAKey.generate_key(2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "isthmus")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key, x509.random_serial_number(), now, now + timedelta(days=1)
    ).sign(key.private_key, hashes.SHA256())
    return key, made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    "scopes", [[], ["User.Read"], ["a/.default", "b/.default"]], ids=["none", "one", "two"]
)
async def test_entra_wants_one_default_scope(create, refusal, scopes):
    """
    Said when it is entered, not when a sync fails.
    """
    fault = await refusal(create(scopes=scopes, entra_tenant="contoso.onmicrosoft.com", token_url=""))

    assert [violation.path for violation in fault.violations] == ["oauth_config.scopes"]


async def test_an_address_that_no_secret_may_go_to_is_refused(create, refusal):
    """
    Plain http is for the loopback interface only.
    """
    fault = await refusal(create(token_url="http://login.example/token"))

    assert [violation.path for violation in fault.violations] == ["oauth_config.token_url"]


async def test_secrets_of_clients_are_in_no_table(rotating, hosts, replicas, server, lease):
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
    secrets = [CLIENT_SECRET, lent.secret.bearer_token, server.asked[0]["refresh_token"]]
    assert lent.access_token.token_id in dump
    assert [secret for secret in secrets if secret in dump] == []
