"""One request and its whole answer, within bounds."""

import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from isthmus.sdk.api.auth import Auth
from isthmus.sdk.api.reply import Reply
from isthmus.sdk.api.signing import client_context
from isthmus.sdk.api.transport import FastTransport, transport_for, trust
from isthmus.sdk.failures import (
    AuthenticationFailure,
    ConfigurationFailure,
    DataFailure,
    Failure,
    TransientFailure,
)
from isthmus.sdk.redaction import safe_url

if TYPE_CHECKING:
    from isthmus.sdk.context import Context

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}


class NotSent(TransientFailure):
    """No byte of the request reached the system; even what must not be repeated may be sent again."""


class Exchange:
    """Sends requests to one host and reads answers no larger than the limits allow."""

    def __init__(
        self, context: "Context", base: httpx.URL, auth: Auth, verify: bool, authorities: str = ""
    ) -> None:
        self._context = context
        self._base = base
        self.auth = auth
        self._verify = verify
        self._authorities = authorities
        self._client: httpx.AsyncClient | None = None
        self._fast: FastTransport | None = None
        self._form: _Form | None = None

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = self._fast = None

    def without_auth(self, address: str) -> str:
        """An address without the query parameters that prove identity: positions are no place for secrets."""
        url = httpx.URL(address)
        for name in self.auth.params:
            url = url.copy_remove_param(name)
        return str(url.copy_with(username=None, password=None) if url.userinfo else url)

    async def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Reply:
        """Sends once; redirects of GET and HEAD are followed on the same host.

        Raises:
            TransientFailure: No answer, or not a whole one.
            ConfigurationFailure: The address cannot be used, or leads elsewhere.
            DataFailure: The answer breaks the limits.
        """
        where = safe_url(url, self._context.secrets)
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                reply = await self._once(method, url, headers, content, where)
                target = reply.headers.get("location", "")
                if reply.raw_status not in _REDIRECTS or not target or method not in {"GET", "HEAD"}:
                    return reply
                url = self.same_host(url.join(target))
                where = safe_url(url, self._context.secrets)
        except httpx.HTTPError as error:
            raise self._failure(error, method, where) from None
        except (httpx.InvalidURL, UnicodeError):
            text = f"{where} is not an address that can be called; correct it in the settings."
            raise ConfigurationFailure("URL_INVALID", text) from None
        text = f"{method} {where} leads from address to address without end; enter the final one."
        raise ConfigurationFailure("REDIRECTED", text)

    def same_host(self, url: httpx.URL) -> httpx.URL:
        """The address again when it lies on the configured host; http may become https, not the reverse.

        Raises:
            ConfigurationFailure: `REDIRECTED`; credentials never go to another host.
        """
        upgraded = self._base.scheme == "http" and url.scheme == "https"
        same_port = _port(url) == _port(self._base) or (upgraded and url.port is None)
        if url.host == self._base.host and same_port and (url.scheme == self._base.scheme or upgraded):
            return url
        text = (
            f"{safe_url(self._base)} leads to {safe_url(url, self._context.secrets)}, which is another host;"
            " enter that address in the settings if it is right."
        )
        raise ConfigurationFailure("REDIRECTED", text)

    async def _once(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None, where: str
    ) -> Reply:
        if self._context.is_revoked:
            text = f"{method} {where} was not sent: the credential was taken back; give the instance another."
            raise AuthenticationFailure("CREDENTIAL_REVOKED", text)
        self._context.egress.allow(url.host, _port(url), scheme=url.scheme)
        client = self._open()
        if self.auth.params:
            url = url.copy_merge_params(dict(self.auth.params))
        sent = {**headers, **self.auth.headers}
        self._context.stats.api_calls += 1
        sign = self.auth.sign
        fast = self._fast if sign is None else None
        if fast is not None and method == "GET" and content is None and not (url.userinfo or client.cookies):
            return await self._read(fast, url, sent, where)
        request = client.build_request(method, url, headers=sent, content=content)
        if sign is not None:
            request.headers.update(sign(request))
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            body = await self._body(response, where)
        finally:
            await response.aclose()
        return Reply(response.status_code, where, _lower(response.headers), body)

    async def _read(self, fast: FastTransport, url: httpx.URL, sent: Mapping[str, str], where: str) -> Reply:
        """Asks the transport itself.

        For every answer the client does what only cookies, credentials in addresses and redirects need,
        which takes longer than reading the answer.
        """
        client = self._open()
        form = self._form
        if form is None or not form.is_like(url, sent):
            form = self._form = _Form.of(client.build_request("GET", url, headers=sent), sent)
        async with await fast.get(str(url), form.headers, form.waits) as answer:
            body = await self._collected(answer.pieces(), answer.headers, where)
        if "set-cookie" in answer.headers:
            request = httpx.Request("GET", url)
            client.cookies.extract_cookies(
                httpx.Response(answer.status, headers=answer.raw_headers, request=request)
            )
        return Reply(answer.status, where, answer.headers, body)

    async def _body(self, response: httpx.Response, where: str) -> bytes:
        limit = self._context.limits.max_answer_bytes
        if response.is_stream_consumed:
            # A stand-in for the network gives whole answers, decoded already.
            if len(response.content) > limit:
                raise too_large(where, limit, len(response.content))
            return response.content
        headers = _lower(response.headers)
        if response.request.method == "HEAD":
            headers.pop("content-length", None)
        return await self._collected(response.aiter_raw(), headers, where)

    async def _collected(self, pieces: AsyncIterator[bytes], headers: Mapping[str, str], where: str) -> bytes:
        """The whole body of an answer, decompressed."""
        limit = self._context.limits.max_answer_bytes
        told = headers.get("content-length", "")
        if told.isdecimal() and int(told) > limit:
            raise too_large(where, limit, int(told))
        inflate = _Inflater(headers.get("content-encoding", ""), where)
        parts: list[bytes] = []
        size = 0
        async for piece in pieces:
            self._context.stats.bytes_read += len(piece)
            part = inflate.some(piece, limit - size + 1)
            size += len(part)
            if size > limit:
                raise too_large(where, limit)
            parts.append(part)
        inflate.finish()
        return b"".join(parts)

    def _open(self) -> httpx.AsyncClient:
        if self._client is None:
            limits = self._context.limits
            pool = httpx.Limits(max_connections=limits.concurrent, max_keepalive_connections=8)
            egress, verify = self._context.egress, self._trust()
            transport = self._context.transport or transport_for(verify=verify, limits=pool, egress=egress)
            self._fast = transport if isinstance(transport, FastTransport) else None
            self._client = httpx.AsyncClient(
                transport=transport,
                verify=verify,
                trust_env=egress.uses_proxies,
                timeout=httpx.Timeout(
                    connect=limits.connect_seconds,
                    read=limits.read_seconds,
                    write=limits.write_seconds,
                    pool=limits.connect_seconds,
                ),
                limits=pool,
                headers={
                    "User-Agent": "isthmus/0.1",
                    "Accept": "application/json",
                    "Accept-Encoding": "gzip",
                },
            )
        return self._client

    def _trust(self) -> ssl.SSLContext:
        shown = self.auth.identity
        try:
            if not shown:
                return trust(verify=self._verify, authorities=self._authorities)
            context = client_context(*shown, verify=self._verify)
            if self._authorities:
                context.load_verify_locations(cadata=self._authorities)
        except ssl.SSLError as error:
            text = "The certificates of further authorities are not in PEM; correct them in the settings."
            raise ConfigurationFailure("CERTIFICATES_INVALID", text) from error
        return context

    def _failure(self, error: httpx.HTTPError, method: str, where: str) -> Failure:
        if isinstance(error, httpx.UnsupportedProtocol):
            return ConfigurationFailure("URL_INVALID", f"{where} has to start with http:// or https://.")
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            text = f"{method} {where}: no connection within {self._context.limits.connect_seconds:g} s"
            return NotSent("SYSTEM_UNREACHABLE", f"{text}; check the address and the network.")
        if isinstance(error, httpx.ConnectError):
            text = f"{method} {where}: no connection ({_cause(error)})"
            return NotSent("SYSTEM_UNREACHABLE", f"{text}; check the address and that the system runs.")
        if isinstance(error, httpx.TimeoutException):
            text = f"{method} {where}: the system went silent for {self._context.limits.read_seconds:g} s."
            return TransientFailure("SYSTEM_TIMEOUT", f"{text} Repeat later.")
        if isinstance(error, httpx.RemoteProtocolError):
            text = f"{method} {where}: the answer broke off or is not HTTP; a proxy or the system cut it."
            return TransientFailure("ANSWER_TRUNCATED", text)
        text = f"{method} {where}: the connection was lost ({type(error).__name__}); repeat later."
        return TransientFailure("SYSTEM_UNREACHABLE", text)


def too_large(where: str, limit: int, told: int = 0) -> DataFailure:
    """The refusal of an answer beyond the limit, whether announced or met while reading."""
    size = f"{told:,} bytes" if told else "more than the limit"
    text = f"The answer of {where} is {size}; at most {limit:,} bytes are taken. Ask for smaller pages."
    return DataFailure("ANSWER_TOO_LARGE", text, metadata={"limit": str(limit)})


@dataclass(frozen=True, slots=True)
class _Form:
    """What the client makes of requests that differ in path and query only.

    Attributes:
        place: Scheme, host and port.
        given: Headers as they were given.
        headers: All headers that are sent.
        waits: How long to wait for what, as httpx puts it.
    """

    place: tuple[str, bytes]
    given: Mapping[str, str]
    headers: list[tuple[str, str]]
    waits: Mapping[str, Any]

    @classmethod
    def of(cls, request: httpx.Request, given: Mapping[str, str]) -> "_Form":
        """Remember what was made of one of them."""
        url = request.url
        waits = request.extensions["timeout"]
        return cls((url.scheme, url.netloc), given, request.headers.multi_items(), waits)

    def is_like(self, url: httpx.URL, given: Mapping[str, str]) -> bool:
        """Whether another request would get the same headers."""
        return self.place == (url.scheme, url.netloc) and self.given == given


class _Inflater:
    """Decompresses piece by piece and never more than asked for, so that a bomb cannot go off."""

    def __init__(self, encoding: str, where: str) -> None:
        self._where = where
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            text = f"The answer of {where} is encoded as {name!r}, which was not asked for; turn that off."
            raise DataFailure("ANSWER_ENCODING_UNKNOWN", text)
        self._stream = None if name in {"", "identity"} else zlib.decompressobj(zlib.MAX_WBITS | 32)

    def some(self, chunk: bytes, most: int) -> bytes:
        """At most `most` bytes of what the chunk holds."""
        if self._stream is None:
            return chunk[:most]
        try:
            return self._stream.decompress(chunk, most)
        except zlib.error:
            raise self._damaged() from None

    def finish(self) -> None:
        """Raises when the compressed answer ended early, or went on behind its end."""
        if self._stream is not None and (not self._stream.eof or self._stream.unused_data):
            raise self._damaged()

    def _damaged(self) -> DataFailure:
        text = f"The answer of {self._where} is damaged: it cannot be decompressed."
        return DataFailure("ANSWER_DAMAGED", text)


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _port(url: httpx.URL) -> int:
    return url.port or _PORTS.get(url.scheme, 0)


def _cause(error: httpx.ConnectError) -> str:
    text = str(error).lower()
    if "name or service" in text or "nodename" in text or "resolution" in text or "no address" in text:
        return "the host name is unknown"
    if "certificate" in text or "ssl" in text or "tls" in text:
        return "the certificate is not trusted or TLS failed"
    return "refused or unreachable"
