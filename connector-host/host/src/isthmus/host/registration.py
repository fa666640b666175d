"""Tells the registry that this host runs, what it runs, and where it listens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.control import ControlPlane, call
from isthmus.kit.logs import logger
from isthmus.registry.v1 import registry_pb2 as registry
from isthmus.resilience import AlreadyExists, Backoff, Fault, Missing

_CALL_SECONDS = 5.0
_log = logger(__name__)


class Registration:
    """Keeps a host known; the registry may be away for as long as it likes.

    Args:
        control: Where the registry is.
        spec: What the connector is.
        host_id: This process.
        running: Tells how many executions are in progress.
        heartbeat_seconds: Pause between two reports.
    """

    def __init__(
        self,
        control: ControlPlane,
        spec: connector.ConnectorSpec,
        host_id: str,
        running: Callable[[], int],
        *,
        heartbeat_seconds: float = 5.0,
    ) -> None:
        self._control = control
        self._spec = spec
        self._host_id = host_id
        self._running = running
        self._heartbeat_seconds = heartbeat_seconds
        self._connector_known = False
        self._leaving = False
        self._gone = False
        self.address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def listening(self, address: str) -> None:
        """Take notice of the address at which this host answers."""
        if not self.address.done():
            self.address.set_result(address)

    async def run(self) -> None:
        """Report until the host leaves, from the moment it answers."""
        host = registry.Host(
            host_id=self._host_id,
            connector_id=self._spec.connector_id,
            connector_version=self._spec.version,
            address=await self.address,
        )
        pauses, tries = Backoff(first=0.1, longest=self._heartbeat_seconds), 0
        while not self._leaving:
            try:
                await self._report(host)
                tries = 0
                await asyncio.sleep(self._heartbeat_seconds)
            except Fault as fault:
                tries += 1
                if tries == 1:
                    _log.info("the registry does not take reports", reason=fault.reason, why=fault.message)
                await asyncio.sleep(pauses.wait(tries))

    async def leave(self) -> None:
        """Say goodbye, once; a registry that is away notices the silence by itself."""
        self._leaving = True
        if not self._gone:
            request = registry.DeregisterHostRequest(host_id=self._host_id)
            with suppress(Fault):
                await call(self._control.registry.DeregisterHost, request, seconds=1.0)
                self._gone = True

    async def _report(self, host: registry.Host) -> None:
        if not self._connector_known:
            await self._make_known()
        host.running_executions = self._running()
        try:
            await self._tell(self._control.registry.RegisterHost, registry.RegisterHostRequest(host=host))
        except Missing:
            self._connector_known = False
            raise

    async def _make_known(self) -> None:
        request_id = f"{self._spec.connector_id}-{self._spec.version}-{self._spec.build_digest}"[:100]
        request = registry.RegisterConnectorRequest(spec=self._spec, request_id=request_id)
        try:
            await self._tell(self._control.registry.RegisterConnector, request)
        except AlreadyExists as fault:
            # The host still works: whoever changed the connector's code sees here that its version is old.
            _log.warning("the connector's code has changed under its version", why=fault.message)
        self._connector_known = True

    async def _tell(self, method: Any, request: Any) -> None:
        await call(method, request, seconds=_CALL_SECONDS)


__all__ = ["Registration"]
