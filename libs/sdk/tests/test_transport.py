"""The transport beneath the client: what arrives, and what its failures are called."""

import asyncio

import httpx
import pytest
from isthmus.sdk import DataFailure, TransientFailure
from isthmus.sdk.api import Api
from isthmus.sdk.api.exchange import NotSent
from isthmus.sdk.api.transport import FastTransport, transport_for
from isthmus.sdk.context import Context
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


def test_proxies_are_left_to_httpx(monkeypatch):
    """
    The environment decides, as it does for every other tool.
    """
    limits = httpx.Limits(max_connections=1)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    direct = transport_for(verify=True, limits=limits)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.example:3128"})

    through = transport_for(verify=True, limits=limits)

    assert isinstance(direct, FastTransport)
    assert through is None
