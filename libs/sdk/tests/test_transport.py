"""The transport beneath the client: what arrives, and what its failures are called."""

import asyncio
import socket

import httpx
import pytest
from isthmus.resilience.egress import Policy
from isthmus.sdk import ConfigurationFailure, DataFailure, PermissionFailure, TransientFailure
from isthmus.sdk.api import Api
from isthmus.sdk.api.exchange import NotSent
from isthmus.sdk.api.transport import FastTransport, transport_for, trust
from isthmus.sdk.context import Context
from isthmus.sdk.egress import AllowedHosts
from isthmus.sdk.runtime import Limits, RetryLimits
from isthmus.testing.http_server import Answer


def client(url, **limits):
    context = Context(limits=Limits(**{"retry": RetryLimits(attempts=1), **limits}))
    with context.active():
        return Api(url)


async def test_addresses_and_headers_arrive_as_they_were_written(server):
    """
    Nothing is quoted anew, nothing is added, and the host is named.
    """
    server.on("/a%2Fb%C3%BC", {"ok": True})
    api = client(server.url)

    await api.get("/a%2Fb%C3%BC", params={"q": "x y/ü"}, headers={"X-Own": "1"})

    (seen,) = server.requests
    assert seen.query == {"q": "x y/ü"}
    assert seen.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "isthmus/0.1",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "connection": "keep-alive",
        "x-own": "1",
    }
    await api.close()


async def test_cookies_are_kept_by_the_client(server):
    """
    Some systems balance their load by one.
    """
    server.on("/items", Answer(body=b"[]", headers={"Set-Cookie": "node=7; Path=/"}))
    api = client(server.url)

    await api.get("/items")
    await api.get("/items")

    assert [request.headers.get("cookie") for request in server.requests] == [None, "node=7"]
    await api.close()


async def test_long_heads_are_taken(server):
    """
    Links that carry a whole query in them are long.
    """
    link = f'<{server.url}/items?token={"x" * 60_000}>; rel="next"'
    server.on("/items", Answer(body=b"[]", headers={"Link": link}))
    api = client(server.url)

    reply = await api.get("/items")

    assert reply.headers["link"] == link
    await api.close()


async def test_nobody_there_means_that_nothing_was_sent(free_port):
    """
    What cannot connect may be repeated whatever it was, and nobody speaks of certificates.
    """
    api = client(f"http://127.0.0.1:{free_port}")

    with pytest.raises(NotSent, match="refused or unreachable"):
        await api.get("/items")

    await api.close()


async def test_unknown_names_are_told_as_such():
    """
    A typing error in the address is the most common cause.
    """
    api = client("http://nowhere.invalid")

    with pytest.raises(NotSent, match="the host name is unknown"):
        await api.get("/items")

    await api.close()


async def test_plain_http_where_tls_is_due_is_told_as_such():
    """
    The other common error in an address.
    """

    async def refuse(_, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    api = client(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    with pytest.raises(NotSent, match="TLS failed"):
        await api.get("/items")

    listening.close()
    await api.close()


async def test_connection_that_is_closed_without_an_answer_was_used():
    """
    The request may have arrived, so this is no failure to connect.
    """

    async def hang_up(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    api = client(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")

    with pytest.raises(TransientFailure) as raised:
        await api.get("/items")

    assert raised.value.reason == "ANSWER_TRUNCATED"
    assert not isinstance(raised.value, NotSent)
    listening.close()
    await api.close()


async def test_answer_that_is_left_half_read_leaves_a_good_connection_for_the_next(server):
    """
    The rest of one answer never shows up in another.
    """
    server.on("/large", Answer(body=b"[" + b" " * 3_000_000 + b"]"))
    server.on("/items", [1])
    api = client(server.url, max_answer_bytes=2_000_000)

    with pytest.raises(DataFailure):
        await api.get("/large")
    reply = await api.get("/items")

    assert reply.body == [1]
    await api.close()


def test_proxies_are_used_where_the_operator_says_so(monkeypatch):
    """
    The environment alone does not decide by which way systems are called; httpx knows how to use a proxy.
    """
    limits = httpx.Limits(max_connections=1)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.example:3128"})
    closed, opened = (AllowedHosts(["*"], Policy(uses_proxies=said)) for said in (False, True))

    direct = transport_for(verify=trust(verify=True), limits=limits, egress=closed)
    through = transport_for(verify=trust(verify=True), limits=limits, egress=opened)

    assert isinstance(direct, FastTransport)
    assert through is None


class Rebinding:
    """Names are what the test says, one answer after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self, host, port, *more, **named):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in answer]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "answer",
    [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.7", "127.0.0.1"]],
    ids=["own", "link", "more"],
)
async def test_a_name_that_leads_inside_is_refused(server, monkeypatch, method, answer):
    """
    Whatever the name says, the address decides; nothing is sent.
    """
    server.on("/items", [1])
    monkeypatch.setattr("socket.getaddrinfo", Rebinding(answer))
    context = Context(egress=AllowedHosts(["*"], Policy()))
    with context.active():
        api = Api(server.url.replace("127.0.0.1", "harmless.example"))

    with pytest.raises(PermissionFailure, match="may not be called"):
        await api.request(method, "/items")
    await api.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_connection_goes_to_what_was_judged(server, monkeypatch, method):
    """
    A name is looked up once; that it leads elsewhere a moment later changes nothing.
    """
    server.on("/items", [1])
    names = Rebinding(["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr("socket.getaddrinfo", names)
    context = Context(egress=AllowedHosts(["*"], Policy.of(allow="127.0.0.0/8")))
    with context.active():
        api = Api(server.url.replace("127.0.0.1", "harmless.example"))
    await api.request(method, "/items", accept={404})

    assert [request.method for request in server.requests] == [method]
    await api.close()


async def test_authorities_of_one_instance_are_trusted_by_it_alone():
    """
    What is no certificate is said to be none.
    """
    with pytest.raises(ConfigurationFailure, match="PEM"):
        await Api("https://harmless.example", authorities="no certificate").get("/items")
