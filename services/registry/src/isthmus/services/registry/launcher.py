"""Asks the local launcher to start a connector host."""

import asyncio
import json
from pathlib import Path

_LIMIT = 5.0
_LONGEST_LINE = 64 * 1024


class Launcher:
    """Speaks to the launcher over its Unix socket, one line of JSON each way.

    Args:
        socket: Where the launcher listens; None when nobody starts hosts on demand.
    """

    def __init__(self, socket: Path | None) -> None:
        self._socket = socket

    async def start_host(self, connector_id: str) -> bool:
        """Ask for a host and tell whether one is being started; it reports to the registry by itself."""
        if self._socket is None:
            return False
        try:
            async with asyncio.timeout(_LIMIT):
                return await self._ask(self._socket, {"start_host": connector_id})
        except (OSError, TimeoutError, ValueError):
            return False

    async def _ask(self, socket: Path, question: dict[str, str]) -> bool:
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LONGEST_LINE)
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await reader.readline())
            return isinstance(answer, dict) and answer.get("ok") is True
        finally:
            writer.close()


__all__ = ["Launcher"]
