"""The client against answers of every kind."""

import gzip
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from isthmus.sdk import (
    Api,
    AuthenticationFailure,
    ConfigurationFailure,
    DataFailure,
    Failure,
    NotFound,
    PermissionFailure,
    RateLimited,
    TransientFailure,
)
from isthmus.sdk.context import Context
from isthmus.sdk.egress import AllowedHosts
from isthmus.sdk.runtime import BreakerLimits, Credential, Limits, RetryLimits
from isthmus.testing.http_server import Answer

SECRET = "hunter2-is-secret"


def client(server, *, credential=None, url="", egress=None, **limits):
    retry = RetryLimits(attempts=3, first_wait=0)
    context = Context(limits=Limits(**{"retry": retry, **limits}))
    context.credential = credential or Credential()
    context.secrets.update(context.credential.secrets())
    if egress is not None:
        context.egress = egress
    with context.active():
        return Api(url or server.url)


@pytest.mark.parametrize(
    ("status", "failure", "word"),
    [
        (400, ConfigurationFailure, "REQUEST_REFUSED"),
        (401, AuthenticationFailure, "AUTHENTICATION_FAILED"),
        (403, PermissionFailure, "PERMISSION_MISSING_AT_SYSTEM"),
        (404, NotFound, "NOT_FOUND_AT_SYSTEM"),
        (429, RateLimited, "RATE_LIMITED"),
        (500, TransientFailure, "SYSTEM_FAILED"),
        (503, TransientFailure, "SYSTEM_FAILED"),
    ],
)
async def test_every_status_is_a_typed_failure_without_the_query(server, status, failure, word):
    """
    The class says what to do; the message names the address and never its query.
    """
    server.on("/items", status)
    api = client(server)

    with pytest.raises(failure) as raised:
        await api.get("/items", params={"key": SECRET})

    assert raised.value.reason == word
    assert f"{server.url}/items" in str(raised.value)
    assert SECRET not in str(raised.value)
    await api.close()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<!DOCTYPE html><html>login</html>", "ANSWER_IS_HTML"),
        (b'{"items": [1, 2', "ANSWER_TRUNCATED"),
        (b'{"name": "M\xfcller"}', "ANSWER_NOT_UTF8"),
        (b'{"id": 1, "id": 2}', "ANSWER_DUPLICATE_KEYS"),
        (b'{"id" : 1, "id" : 2}', "ANSWER_DUPLICATE_KEYS"),
        (b'{"a": {"x": "\\":", "x": 1}}', "ANSWER_DUPLICATE_KEYS"),
        (b'{"id": NaN}', "ANSWER_NOT_JSON"),
        (b"[" * 100_000, "ANSWER_TOO_DEEP"),
        (b"  ", "ANSWER_EMPTY"),
    ],
)
async def test_bodies_that_are_not_json_say_what_they_are(server, body, reason):
    """
    The message names the address and what it found there.
    """
    server.on("/items", Answer(body=body, headers={"content-type": "application/json"}))
    reply = await client(server).get("/items")

    with pytest.raises(DataFailure, match="/items") as raised:
        _ = reply.body

    assert raised.value.reason == reason


@pytest.mark.parametrize(
    "body", [b'{"a": " :", "b": {"a": 1}}', b'\xef\xbb\xbf{"a": "\\u0022:"}', b'{"a" :[{"a":1}]}']
)
async def test_keys_that_only_look_like_duplicates_pass(server, body):
    """
    Equal names in different objects, colons in texts and a byte order mark do no harm.
    """
    server.on("/items", Answer(body=body))

    assert "a" in (await client(server).get("/items")).body


async def test_cut_answer_is_repeated_and_then_transient(server):
    """
    An answer that breaks off is asked for again, as often as the limit says.
    """
    server.on("/items", Answer(body=b"[1, 2, 3]", cut=4))

    with pytest.raises(TransientFailure, match="broke off"):
        await client(server).get("/items")

    assert len(server.requests) == 3


async def test_huge_answer_is_refused_before_it_is_read(server):
    """
    What announces 200 MB is not read at all.
    """
    server.on("/items", Answer(body=iter([b"x"]), headers={"content-length": str(200 * 1024 * 1024)}))
    api = client(server)

    with pytest.raises(DataFailure, match=r"209,715,200 bytes; at most 67,108,864"):
        await api.get("/items")

    assert api.context.stats.bytes_read == 0


async def test_huge_answer_without_length_is_stopped_at_the_limit(server):
    """
    A stream without end is given up once the limit is passed.
    """
    server.on("/items", Answer(body=(b"x" * 65536 for _ in range(10_000))))
    api = client(server, max_answer_bytes=1_000_000)

    with pytest.raises(DataFailure, match="at most"):
        await api.get("/items")

    assert api.context.stats.bytes_read < 2_000_000


async def test_decompression_bomb_stops_at_the_limit(server):
    """
    A megabyte of zeros squeezed a thousandfold is refused without being unpacked.
    """
    bomb = gzip.compress(b"0" * 50_000_000)
    server.on("/items", Answer(body=bomb, headers={"content-encoding": "gzip"}))

    with pytest.raises(DataFailure) as raised:
        await client(server, max_answer_bytes=1_000_000).get("/items")

    assert raised.value.reason == "ANSWER_TOO_LARGE"


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"[1]")[:-4], b"no gzip", zlib.compress(b"[1]") + b"more"],
    ids=["cut", "none", "followed"],
)
async def test_damaged_compression_is_a_data_failure(server, body):
    """
    What cannot be unpacked to its end is not taken.
    """
    server.on("/items", Answer(body=body, headers={"content-encoding": "gzip"}))

    with pytest.raises(DataFailure, match="damaged"):
        await client(server).get("/items")


async def test_gzip_is_read(server):
    """
    Compressed answers are the normal case.
    """
    server.on("/items", Answer(body=gzip.compress(b'{"a": 1}'), headers={"content-encoding": "gzip"}))

    assert (await client(server).get("/items")).body == {"a": 1}


async def test_reading_is_repeated_until_it_succeeds(server):
    """
    500 and 503 pass; the repetitions are counted.
    """
    server.in_turn("/items", 503, 500, {"ok": True})
    api = client(server)

    assert (await api.get("/items")).body == {"ok": True}
    assert (api.context.stats.api_calls, api.context.stats.retries) == (3, 2)


async def test_change_that_the_system_failed_at_is_sent_once(server):
    """
    Behind a 500 a change may have been made all the same.
    """
    server.on("/items", 500, "PUT")

    with pytest.raises(TransientFailure):
        await client(server).put("/items", json={})

    assert len(server.requests) == 1


async def test_posting_is_not_repeated_unless_it_is_safe(server):
    """
    A POST is sent once, with an idempotency key as often as reading.
    """
    server.on("/items", 503, "POST")
    api = client(server)
    for key in ("", "k1"):
        with pytest.raises(TransientFailure):
            await api.post("/items", json={}, idempotency_key=key)

    assert [request.headers.get("idempotency-key") for request in server.requests] == [None, "k1", "k1", "k1"]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refusals_are_never_repeated(server, status):
    """
    What will not get better is asked for once.
    """
    server.on("/items", status)

    with pytest.raises(Failure):
        await client(server).get("/items")

    assert len(server.requests) == 1


@pytest.mark.parametrize("dated", [False, True])
async def test_long_wait_is_handed_on(server, dated):
    """
    Retry-After of an hour, in seconds or as a date, is told to the host instead of being slept through.
    """
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = format_datetime(now + timedelta(hours=1), usegmt=True) if dated else "3600"
    headers = {"retry-after": later, "date": format_datetime(now, usegmt=True)}
    server.on("/items", Answer(429, headers=headers))

    with pytest.raises(RateLimited) as raised:
        await client(server).get("/items")

    assert raised.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_breaker_leaves_a_failing_system_alone(server):
    """
    After two failures nothing is sent any more.
    """
    server.on("/items", 500)
    api = client(server, breaker=BreakerLimits(failures=2))
    for _ in range(2):
        with pytest.raises(TransientFailure):
            await api.get("/items")

    with pytest.raises(TransientFailure, match="held back"):
        await api.get("/items")
    assert len(server.requests) == 2


async def test_redirect_to_another_host_is_refused(server):
    """
    The credential never leaves the configured host.
    """
    server.on("/items", Answer(302, headers={"location": "http://localhost:1/steal"}))

    with pytest.raises(ConfigurationFailure, match="another host"):
        await client(server, credential=Credential("bearer", SECRET)).get("/items")


async def test_redirect_on_the_same_host_is_followed(server):
    """
    A moved path is found.
    """
    server.on("/items", Answer(302, headers={"location": "/other"}))
    server.on("/other", {"ok": True})

    assert (await client(server).get("/items")).body == {"ok": True}


async def test_redirect_circle_ends(server):
    """
    A path that leads to itself is given up.
    """
    server.on("/items", Answer(302, headers={"location": "/items"}))

    with pytest.raises(ConfigurationFailure, match="without end"):
        await client(server).get("/items")


async def test_unreachable_host_names_the_address(server):
    """
    Nobody listens there: the remedy is the address or the system.
    """
    with pytest.raises(TransientFailure, match="check the address") as raised:
        await client(server, url="http://127.0.0.1:9/").get("/items")

    assert raised.value.reason == "SYSTEM_UNREACHABLE"


async def test_hosts_that_were_not_configured_are_closed(server):
    """
    The guard decides before any connection is made.
    """
    with pytest.raises(PermissionFailure, match="may not be called"):
        await client(server, egress=AllowedHosts(["acme.example"])).get("/items")

    assert server.requests == []


@pytest.mark.parametrize(
    ("credential", "header", "value"),
    [
        (Credential("bearer", "t0ken"), "authorization", "Bearer t0ken"),
        (Credential("basic", username="u", password="p"), "authorization", "Basic dTpw"),
        (Credential("api_key", "k3y"), "x-api-key", "k3y"),
        (Credential("api_key", "k3y", header="X-Vendor", prefix="Token "), "x-vendor", "Token k3y"),
    ],
)
async def test_credentials_go_where_they_belong(server, credential, header, value):
    """
    Each method has its own place in the request.
    """
    server.on("/items", {})
    await client(server, credential=credential).get("/items")

    assert server.requests[0].headers[header] == value


async def test_key_in_the_query_stays_out_of_messages(server):
    """
    A key in the query is sent and never shown.
    """
    server.on("/items", 404)
    credential = Credential("api_key", SECRET, query_param="key")

    with pytest.raises(NotFound) as raised:
        await client(server, credential=credential).get("/items", params={"page": 1})

    assert server.requests[0].query == {"page": "1", "key": SECRET}
    assert SECRET not in repr(raised.value) + repr(credential)


async def test_silent_system_is_given_up(server):
    """
    A system that takes the request and says nothing costs no more than the limit.
    """
    import asyncio

    server.on("/items", Answer(until=asyncio.Event()))

    with pytest.raises(TransientFailure, match="silent"):
        await client(server, read_seconds=0.05).get("/items")


async def test_stand_in_for_the_network_is_taken():
    """
    Authors may test with the mock transport of httpx instead of a server.
    """
    import httpx

    context = Context(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json={"at": request.url.path}))
    )
    with context.active():
        api = Api("http://acme.example/api")

    assert (await api.get("/items")).body == {"at": "/api/items"}


@pytest.mark.parametrize(("fresh", "failure"), [("new-t0ken", None), ("old-t0ken", AuthenticationFailure)])
async def test_refused_credential_is_renewed_once(server, fresh, failure):
    """
    A token that expired in mid-stream costs one renewal and one repetition; the same token again costs none.
    """
    server.on("/items", lambda r: {"ok": True} if r.headers["authorization"] == "Bearer new-t0ken" else 401)
    api = client(server, credential=Credential("bearer", "old-t0ken"))

    async def renew():
        return Credential("bearer", fresh)

    api.context.renew = renew
    if failure is None:
        assert (await api.get("/items")).body == {"ok": True}
    else:
        with pytest.raises(failure):
            await api.get("/items")
    assert len(server.requests) == (2 if failure is None else 1)


async def test_requests_refused_together_share_what_one_of_them_renewed(server):
    """
    Who is refused after another has renewed takes what is there; each is repeated once.
    """
    server.on("/items", lambda r: {"ok": True} if r.headers["authorization"] == "Bearer new-t0ken" else 401)
    api = client(server, credential=Credential("bearer", "old-t0ken"))
    renewals = []

    async def renew():
        renewals.append(api.context.credential)
        return Credential("bearer", "new-t0ken")

    api.context.renew = renew
    first = api.context.credential
    await api.get("/items")

    assert await api._renewed(first)
    assert len(renewals) == 1


async def test_page_that_ends_in_the_middle_may_be_whole_the_next_time(server):
    """
    A proxy that cuts a body and announces the shorter length leaves no other trace.
    """
    server.on("/items", Answer(body=b'{"items": [{"id": 1}, {"id"'))

    with pytest.raises(TransientFailure, match="ends in the middle") as raised:
        _ = [page async for page in client(server).pages("/items", records="items")]

    assert raised.value.reason == "ANSWER_TRUNCATED"
