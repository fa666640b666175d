"""Connections to the addresses that were judged, and to no others.

A name is looked up once for a connection, what comes out is judged, and the connection is made to just
that: an answer that changes between looking and connecting changes nothing.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
from isthmus.sdk.egress import Egress, resolved


class JudgedBackend(httpcore.AsyncNetworkBackend):
    """Connects httpcore's connections to judged addresses."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; TLS goes on to prove the name."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await resolved(self._egress, host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not looked up in time") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait between two tries."""
        await asyncio.sleep(seconds)


def judged_transport(
    egress: Egress, *, verify: ssl.SSLContext | bool = True, limits: httpx.Limits | None = None
) -> httpx.AsyncHTTPTransport:
    """Return httpx's own transport, connected to judged addresses only; no proxy is used.

    Args:
        egress: Decides.
        verify: How certificates are checked.
        limits: Most connections.
    """
    limits = limits or httpx.Limits(max_connections=50, max_keepalive_connections=4, keepalive_expiry=15)
    transport = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)
    # httpx lets nobody choose how its pool connects.
    transport._pool._network_backend = JudgedBackend(egress)
    return transport


__all__ = ["JudgedBackend", "judged_transport"]
