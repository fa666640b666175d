"""Tools that cause what tests of failure need: processes that die or freeze, networks that break."""

import asyncio
import contextlib
import os
import signal
from types import TracebackType
from typing import Self

from isthmus.local.backends.ports import HOST

__all__ = ["TcpProxy", "freeze", "kill9", "thaw"]


def kill9(pid: int) -> None:
    """End a process without any chance to tidy up; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def freeze(pid: int) -> None:
    """Stop a process in its tracks, as a long pause of the machine would; its connections stay open."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let a frozen process go on."""
    os.kill(pid, signal.SIGCONT)


class TcpProxy:
    """Stands between a client and a server and can slow down, swallow or cut what passes.

    Args:
        target: Port of the server on this machine.
        delay: Seconds by which everything is held up in each direction.
    """

    def __init__(self, target: int, *, delay: float = 0.0) -> None:
        self.target = target
        self.delay = delay
        self.port = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._accepting = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._drop_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection and every new one, as if the server were gone."""
        self._accepting = False
        self._drop_all()

    def swallow(self) -> None:
        """Keep connections open and let nothing through, as a dead network does."""
        self._flowing.clear()

    def heal(self) -> None:
        """Let everything through again."""
        self._accepting = True
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if not self._accepting:
            self._drop(writer)
            return
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            self._drop(writer)
            return
        self.connections += 1
        self._writers.add(there_writer)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(65_536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flowing.wait()
                sink.write(chunk)
                await sink.drain()
        self._writers.discard(sink)
        sink.close()

    def _drop_all(self) -> None:
        for writer in tuple(self._writers):
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()
