"""The way to the network: reading is fast, and everything else as careful as httpx is.

Reading long lists is what costs, so GET goes over aiohttp's C parser, which takes an answer in in a fifth
of the time. What changes a system goes over httpx's own transport, which knows better whether a byte of a
request that broke off can have reached it.
"""

import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import aiohttp
import httpx
from isthmus.sdk.egress import Egress
from isthmus.sdk.network import judged_transport
from yarl import URL

# As much as httpx takes in of heads; the default of aiohttp refuses long cookies and links.
_LARGEST_HEAD_LINE = 100 * 1024
_READ_AHEAD = 512 * 1024
_IDLE_SECONDS = 5.0
_UNSENT = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError)


class FastTransport(httpx.AsyncBaseTransport):
    """Reads over aiohttp, and sends over httpx's own transport.

    Cookies, redirects and compression are left to the client above. Names are looked up anew for each
    connection, which is made to a judged address, and no proxy is used.

    Args:
        context: How certificates are checked.
        limits: Most connections, kept ones included.
        egress: Decides about addresses.
    """

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits, egress: Egress) -> None:
        self._context = context
        self._limits = limits
        self._egress = egress
        self._reading: aiohttp.ClientSession | None = None
        self._sending: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request and gives the head of its answer; the body is read from its stream."""
        if request.method != "GET" or request.headers.get("content-length") or not _is_web(request.url):
            return await self._sender().handle_async_request(request)
        waits = request.extensions.get("timeout", {})
        answer = await self.get(str(request.url), request.headers.multi_items(), waits)
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    async def get(self, url: str, headers: list[tuple[str, str]], waits: Mapping[str, Any]) -> "Answer":
        """Sends one GET and gives the head of its answer.

        Args:
            url: The whole address, quoted already.
            headers: All that are sent.
            waits: Seconds for `pool`, `connect` and `read`.

        Raises:
            httpx.HTTPError: What httpx would raise.
        """
        timeout = aiohttp.ClientTimeout(
            connect=waits.get("pool"), sock_connect=waits.get("connect"), sock_read=waits.get("read")
        )
        with _as_httpx():
            target = URL(url, encoded=True)
            return Answer(
                await self._reader().get(target, headers=headers, allow_redirects=False, timeout=timeout)
            )

    async def aclose(self) -> None:
        """Closes all connections."""
        reading, self._reading = self._reading, None
        sending, self._sending = self._sending, None
        if reading is not None:
            await reading.close()
        if sending is not None:
            await sending.aclose()

    def _reader(self) -> aiohttp.ClientSession:
        if self._reading is None:
            connector = aiohttp.TCPConnector(
                ssl=self._context,
                limit=self._limits.max_connections or 0,
                keepalive_timeout=_IDLE_SECONDS,
                use_dns_cache=False,
                resolver=_Judged(self._egress),
            )
            self._reading = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                read_bufsize=_READ_AHEAD,
                max_line_size=_LARGEST_HEAD_LINE,
                max_field_size=_LARGEST_HEAD_LINE,
            )
        return self._reading

    def _sender(self) -> httpx.AsyncHTTPTransport:
        if self._sending is None:
            self._sending = judged_transport(self._egress, verify=self._context, limits=self._limits)
        return self._sending


class _Judged(aiohttp.abc.AbstractResolver):
    """Looks up names and gives those addresses to which connections may be made."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._plain = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        """Look up a name; see `Egress.judged`."""
        found = await self._plain.resolve(host, port, family)
        open_ = set(self._egress.judged(host, port, [one["host"] for one in found]))
        return [one for one in found if one["host"] in open_]

    async def close(self) -> None:
        """Nothing is kept."""


class Answer:
    """An answer whose head has come.

    Attributes:
        status: The HTTP status.
        raw_headers: As they came.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.raw_headers = response.raw_headers

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case; values that come more than once are joined as httpx joins them."""
        try:
            found = {name.decode("ascii").lower(): value.decode("ascii") for name, value in self.raw_headers}
        except UnicodeDecodeError:
            found = {}
        if len(found) != len(self.raw_headers):
            return dict(httpx.Headers(list(self.raw_headers)).items())
        return found

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, in pieces as large as they lie ready."""
        with _as_httpx():
            async for piece in self._response.content.iter_any():
                yield piece

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back; one whose answer was not read to its end is closed, not kept."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, for httpx."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._answer.pieces()

    async def aclose(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Failures of aiohttp as what httpx calls them; only those before the request are failures to connect."""
    try:
        yield
    except _UNSENT as error:
        raise _not_connected(error) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except aiohttp.InvalidURL as error:
        raise httpx.InvalidURL("the address cannot be called") from error
    except (
        aiohttp.ClientPayloadError,
        aiohttp.ServerDisconnectedError,
        aiohttp.ClientResponseError,
    ) as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(type(error).__name__) from error


def _not_connected(error: Exception) -> httpx.TransportError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout(str(error))
    # The text of the error itself speaks of TLS, whatever it was that went wrong.
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return httpx.ConnectError(str(cause))


@lru_cache(maxsize=100)
def trust(*, verify: bool, authorities: str = "") -> ssl.SSLContext:
    """How certificates are checked: against the authorities that the system trusts, and further ones in PEM.

    Raises:
        ssl.SSLError: The text holds no certificates.
    """
    # Reading all authorities takes longer than many a request, so the clients of a process share them.
    context = httpx.create_ssl_context(verify=verify, trust_env=False)
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context


def _is_web(url: httpx.URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.host)


def transport_for(
    *, verify: ssl.SSLContext, limits: httpx.Limits, egress: Egress
) -> httpx.AsyncBaseTransport | None:
    """The transport of a client; None where a proxy is used, which httpx knows how to do."""
    if egress.uses_proxies and urllib.request.getproxies():
        return None
    return FastTransport(verify, limits, egress)


__all__ = ["FastTransport", "transport_for", "trust"]
