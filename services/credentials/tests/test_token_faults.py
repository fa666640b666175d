"""Everything a token server does wrong, and what becomes of it; each by its name."""

import asyncio

import pytest
from isthmus.resilience.faults import Precondition, RetryLater
from isthmus.services.credentials.domain import PRIVATE_KEY_JWT, OAuth, pause_after
from isthmus.services.credentials.token_server import TokenServers
from isthmus.testing.http_server import Answer
from isthmus.testing.token_server import CLIENT_SECRET

WAITS = (RetryLater, "TOKEN_SERVER_UNREACHABLE")
BUSY = (RetryLater, "TOKEN_SERVER_BUSY")
INVALID = (Precondition, "TOKEN_ANSWER_INVALID")
FAULTS = {
    "slow": (None, WAITS),
    "500": (Answer(500, b""), WAITS),
    "502 of a proxy": (Answer(502, "<html>Bad Gateway</html>"), WAITS),
    "503": (Answer(503, {"error": "temporarily_unavailable"}), BUSY),
    "429 with Retry-After": (Answer(429, b"", {"retry-after": "7"}), BUSY),
    "429 without": (Answer(429, b""), BUSY),
    "cut off": (Answer(200, {"access_token": "half"}, cut=9), WAITS),
    "no JSON": (Answer(200, '{"access_token": "half'), INVALID),
    "not UTF-8": (Answer(200, b'{"access_token": "\xff"}'), INVALID),
    "a list": (Answer(200, [{"access_token": "a"}]), INVALID),
    "a number for a token": (Answer(200, {"access_token": 7}), INVALID),
    "nothing": (Answer(200, b""), INVALID),
}
LIVES = {
    "a text": ("60", 60),
    "nothing": (None, 300),
    "no number": ("soon", 300),
    "less than nothing": (-5, 300),
    "too much": (10**12, 30 * 86_400),
    "not a number": ("nan", 300),
}


@pytest.fixture
async def servers():
    asks = TokenServers(seconds=5, unknown_lifetime=300)
    yield asks
    await asks.close()


@pytest.fixture
def client(server):
    return OAuth(token_url=server.url, client_id="mesh")


async def ask(servers, client):
    return await servers.grant(client, {"client_secret": CLIENT_SECRET}, {"grant_type": "client_credentials"})


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_a_token_server_says_whether_waiting_helps(client, server, name):
    """
    What passes by itself is repeated later, what does not names a remedy; nothing of the answer is repeated.
    """
    answer, (kind, reason) = FAULTS[name]
    server.failures = [answer] if answer is not None else []
    server.hold = None if answer is not None else asyncio.Event()
    impatient = TokenServers(seconds=0.3 if answer is None else 30, unknown_lifetime=300)

    with pytest.raises(kind) as refused:
        await ask(impatient, client)
    await impatient.close()

    assert refused.value.reason == reason
    assert "half" not in refused.value.message


async def test_retry_after_is_obeyed(servers, client, server):
    """
    The server is left alone for at least as long as it says.
    """
    server.failures = [Answer(429, b"", {"retry-after": "7"})]

    with pytest.raises(RetryLater) as refused:
        await ask(servers, client)

    assert pause_after(refused.value, 0) >= 7


@pytest.mark.parametrize("name", LIVES)
async def test_a_life_that_makes_no_sense_is_none(servers, client, server, name):
    """
    Servers send numbers as texts, leave them out, or are wrong about them.
    """
    told, seconds = LIVES[name]
    server.failures = [Answer(200, {"access_token": "a", "expires_in": told})]

    assert (await ask(servers, client)).lifetime.total_seconds() == seconds


@pytest.mark.parametrize("ahead", [-25, 0, 100], ids=["behind", "even", "ahead"])
async def test_clocks_may_differ(servers, client, server, ahead):
    """
    An assertion is good for a server whose clock is behind or ahead.
    """
    from dataclasses import replace

    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256")
    server.keys["mesh"], server.ahead = key, ahead
    signing = replace(client, client_authentication=PRIVATE_KEY_JWT, signing_algorithm="ES256")

    got = await servers.grant(
        signing,
        {"private_key": key.as_pem(private=True).decode()},
        {"grant_type": "client_credentials"},
    )

    assert got.access_token in server.good


async def test_a_token_that_is_refused_before_its_time_is_replaced_once(rotating, refreshers, tenant, server):
    """
    However long it should have lived; and the rotated refresh token of the answer is used the next time.
    """
    config, row = await refreshers[0].load(tenant, await rotating())
    first = await refreshers[0].current(config, row)
    _, row = await refreshers[0].load(tenant, config.auth_config_id)

    got = await asyncio.gather(
        *(refreshers[turn % 2].current(config, row, refused=first.token_id) for turn in range(20))
    )
    _, row = await refreshers[0].load(tenant, config.auth_config_id)
    third = await refreshers[0].current(config, row, refused=got[0].token_id)

    assert {one.value for one in got}.isdisjoint({first.value, third.value})
    assert len(server.asked) == 3
    assert len({form["refresh_token"] for form in server.asked}) == 3
