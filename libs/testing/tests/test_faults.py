"""Tools that break things break them as promised."""

import asyncio
import subprocess
import sys

import pytest
from isthmus.testing.faults import TcpProxy, freeze, kill9, thaw


@pytest.fixture
async def echo():
    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy(echo):
    async with TcpProxy(echo) as proxy:
        yield proxy


async def _ask(reader, writer):
    writer.write(b"hello\n")
    return await asyncio.wait_for(reader.readline(), 30)


async def test_proxy_passes_everything_on(proxy):
    """
    Without a fault the proxy is invisible.
    """
    connection = await asyncio.open_connection("127.0.0.1", proxy.port)

    assert await _ask(*connection) == b"hello\n"


async def test_cut_resets_connections_until_healed(proxy):
    """
    A cut ends what is open and what is opened, healing lets new connections through.
    """
    connection = await asyncio.open_connection("127.0.0.1", proxy.port)
    await _ask(*connection)
    proxy.cut()
    with pytest.raises(ConnectionError):
        await _ask(*connection)
    proxy.heal()

    assert await _ask(*await asyncio.open_connection("127.0.0.1", proxy.port)) == b"hello\n"


async def test_swallowed_bytes_arrive_after_healing(proxy):
    """
    A dead network answers nothing; when it lives again nothing is lost.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.swallow()
    writer.write(b"hello\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.1)
    proxy.heal()

    assert await asyncio.wait_for(reader.readline(), 30) == b"hello\n"


async def test_delay_holds_up_both_directions(proxy):
    """
    An answer through a slow proxy takes at least two delays.
    """
    proxy.delay = 0.05
    connection = await asyncio.open_connection("127.0.0.1", proxy.port)
    started = asyncio.get_running_loop().time()
    await _ask(*connection)

    assert asyncio.get_running_loop().time() - started >= 0.1


def test_processes_freeze_thaw_and_die():
    """
    A frozen process is not dead, a killed one is.
    """
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    freeze(process.pid)
    assert process.poll() is None
    thaw(process.pid)
    kill9(process.pid)

    assert process.wait(5) == -9
    kill9(process.pid)
