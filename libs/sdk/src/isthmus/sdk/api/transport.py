"""The way to the network: reading is fast, and everything else as careful as httpx is.

Reading long lists is what costs, so GET goes over aiohttp's C parser, which takes an answer in in a fifth
of the time. What changes a system goes over httpx's own transport, which knows better whether a byte of a
request that broke off can have reached it.
"""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache

import aiohttp
import httpx
from yarl import URL

# As much as httpx takes in of heads; the default of aiohttp refuses long cookies and links.
_LARGEST_HEAD_LINE = 100 * 1024
_READ_AHEAD = 512 * 1024
_IDLE_SECONDS = 5.0
_UNSENT = (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError)


class FastTransport(httpx.AsyncBaseTransport):
    """Reads over aiohttp, and sends over httpx's own transport.

    Cookies, redirects and compression are left to the client above. Names are looked up anew for each
    connection, and no proxy is used.

    Args:
        context: How certificates are checked.
        limits: Most connections, kept ones included.
    """

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._context = context
        self._limits = limits
        self._reading: aiohttp.ClientSession | None = None
        self._sending: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request and gives the head of its answer; the body is read from its stream."""
        if request.method != "GET" or request.headers.get("content-length") or not _is_web(request.url):
            return await self._sender().handle_async_request(request)
        waits = request.extensions.get("timeout", {})
        with _as_httpx(request):
            answer = await self._reader().get(
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=waits.get("pool"), sock_connect=waits.get("connect"), sock_read=waits.get("read")
                ),
            )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer, request))

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
            self._sending = httpx.AsyncHTTPTransport(verify=self._context, limits=self._limits)
        return self._sending


class _Body(httpx.AsyncByteStream):
    """The body of an answer, in pieces as large as they lie ready."""

    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for piece in self._answer.content.iter_any():
                yield piece

    async def aclose(self) -> None:
        # A connection whose answer was not read to its end is closed, not kept.
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Failures of aiohttp as what httpx calls them; only those before the request are failures to connect."""
    try:
        yield
    except _UNSENT as error:
        raise _not_connected(error, request) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error), request=request) from error
    except aiohttp.InvalidURL as error:
        raise httpx.InvalidURL("the address cannot be called") from error
    except (
        aiohttp.ClientPayloadError,
        aiohttp.ServerDisconnectedError,
        aiohttp.ClientResponseError,
    ) as error:
        raise httpx.RemoteProtocolError(type(error).__name__, request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(type(error).__name__, request=request) from error


def _not_connected(error: Exception, request: httpx.Request) -> httpx.TransportError:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return httpx.ConnectTimeout(str(error), request=request)
    # The text of the error itself speaks of TLS, whatever it was that went wrong.
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    return httpx.ConnectError(str(cause), request=request)


@cache
def _trust(*, verify: bool) -> ssl.SSLContext:
    # Reading all authorities takes longer than many a request, so the clients of a process share them.
    return httpx.create_ssl_context(verify=verify)


def _is_web(url: httpx.URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.host)


def transport_for(*, verify: bool, limits: httpx.Limits) -> httpx.AsyncBaseTransport | None:
    """The transport of a client; None where the environment names a proxy, which httpx knows how to use."""
    if urllib.request.getproxies():
        return None
    return FastTransport(_trust(verify=verify), limits)


__all__ = ["FastTransport", "transport_for"]
